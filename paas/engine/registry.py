"""Images from and to elsewhere: pull, push, load, save.

skopeo speaks to registries and archives; on this side there is an OCI layout whose layers
are unpacked or packed here. A layer that is here already is neither downloaded nor
unpacked again.
"""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from paas.engine import ocilayout, registries
from paas.engine.archives import DOCKER, OCI, archive_kind, names_in
from paas.engine.config import ImageConfig, InvalidImage, host_architecture
from paas.engine.images import Image, ImageNotFound, Images
from paas.engine.layers import LayerId, Layers
from paas.engine.ocilayout import LayerBlob, LayoutImage, blob_path
from paas.engine.outside import Outside
from paas.engine.pack import Packed, pack
from paas.engine.reference import Reference, parse_reference
from paas.engine.skopeo import Counter, Login, Skopeo, bytes_below
from paas.engine.unpack import unpack
from paas.errors import PaasError
from paas.host import files
from paas.host.processes import ProcessFailed
from paas.model.layout import Layout
from paas.model.report import Report


class PullFailed(PaasError):
    """An image could not be fetched."""


class PushFailed(PaasError):
    """An image could not be delivered."""


class LocalName(PaasError):
    """A name below `paas/` is this server's own; no registry has it."""


class Registry:
    """Brings images here and takes them elsewhere."""

    def __init__(
        self, layout: Layout, images: Images, layers: Layers, outside: Outside | None = None
    ) -> None:
        """`outside` is what fetches from registries that no setting names."""
        self._outside = outside
        self._engine = layout.engine
        self._locks = layout.locks
        self._images = images
        self._layers = layers
        self.skopeo = Skopeo(layout.engine)

    @property
    def settings_file(self) -> Path:
        """Mirrors, plain HTTP and authorities; see `paas.engine.registries`."""
        return self.skopeo.settings_file

    def settings(self) -> registries.RegistrySettings:
        """How registries are reached. Raises `InvalidRegistry`."""
        return registries.load(self.settings_file)

    def login(self, registry: str, username: str, password: str) -> None:
        """Keep a login that the registry takes. Raises `LoginFailed`."""
        with self._scratch() as scratch:
            self.skopeo.login(scratch, registry, username, password)

    def logout(self, registry: str) -> None:
        """Forget a login. Raises `InvalidRegistry` when there is none."""
        with self._scratch() as scratch:
            self.skopeo.logout(scratch, registry)

    def logins(self) -> list[Login]:
        """Who is logged in where."""
        return self.skopeo.logins()

    def pull(self, ref: str | Reference, report: Report) -> Image:
        """Fetch an image and give it its name here.

        Raises what `fetch` does.
        """
        name = ref if isinstance(ref, Reference) else parse_reference(ref)
        with self._layers.lease():
            image = self.fetch(name, report)
            self._images.tag(name, image.id)
        return image

    def fetch(self, ref: str | Reference, report: Report) -> Image:
        """Fetch an image that has no name here: whoever asks holds the lease until it has one.

        Raises `InvalidReference`, `LocalName`, `PullFailed`, `InvalidImage`, `LayerRefused`.
        """
        name = ref if isinstance(ref, Reference) else parse_reference(ref)
        _refuse_local(name, "pulled")
        report.detail(f"Pulling {name.familiar}")
        source = f"docker://{name.pullable}"
        with self._fetched(source, name.familiar, report, name.domain) as fetched:
            return self._keep(fetched, report)

    def _is_trusted(self, registry: str) -> bool:
        """Whether a setting or a login names it: then it may be on the LAN, or on this host."""
        known = self.settings()
        named = (*known.mirrors, *known.plain_http, *known.authorities)
        logins = (login.registry for login in self.logins())
        return not registry or registry in (*named, *logins)

    def load(self, archive: Path, ref: str | Reference, report: Report) -> Image:
        """Read an archive of `docker save` or of OCI, and name its image `ref`.

        Raises `InvalidReference`, `PullFailed`, `InvalidImage`, `LayerRefused`.
        """
        name = ref if isinstance(ref, Reference) else parse_reference(ref)
        source = f"{archive_kind(archive)}:{archive}"
        return self._load(source, str(archive), name, report)

    def load_all(self, archive: Path, report: Report) -> list[tuple[Reference, Image]]:
        """Read every image of an archive, under the names that it has for them.

        Raises what `load` does, and `PullFailed` for an archive without names.
        """
        kind = archive_kind(archive)
        names = names_in(archive, kind)
        if not names:
            raise PullFailed(
                "The archive has no names for its images",
                resolution="Give the name as an argument: images:load NAME < archive.tar",
            )
        loaded = []
        for text in names:
            name = parse_reference(text)
            source = f"{kind}:{archive}:{text}"
            loaded.append((name, self._load(source, text, name, report)))
        return loaded

    def _load(self, source: str, what: str, name: Reference, report: Report) -> Image:
        with self._fetched(source, what, report) as fetched:
            image = self._keep(fetched, report)
            self._images.tag(name, image.id)
        return image

    def push(self, image: Image, ref: str | Reference, report: Report) -> None:
        """Deliver an image to a registry. Raises `LocalName`, `PushFailed`."""
        name = ref if isinstance(ref, Reference) else parse_reference(ref)
        _refuse_local(name, "pushed")
        report.detail(f"Pushing {name.familiar}")
        self._deliver(image, f"docker://{name.pullable}", name.familiar, report, name.domain)

    def save(
        self,
        image: Image,
        ref: str | Reference,
        archive: Path,
        report: Report,
        *,
        oci: bool = False,
    ) -> None:
        """Write an archive that `docker load` (or, with `oci`, any OCI tool) reads.

        Raises `PushFailed`.
        """
        name = ref if isinstance(ref, Reference) else parse_reference(ref)
        kind = OCI if oci else DOCKER
        archive.unlink(missing_ok=True)
        self._deliver(image, f"{kind}:{archive}:{name}", str(archive), report)

    @contextmanager
    def _fetched(
        self, source: str, what: str, report: Report, registry: str = ""
    ) -> Iterator[LayoutImage]:
        """An image of elsewhere in a layout, gone at the end.

        Layers that are here already stand in it as empty files of their size: skopeo takes
        a blob that it finds for one it has. Raises `DiskFull`, `PullFailed`.
        """
        self._layers.disk.admit(what)
        with self._scratch() as scratch:
            blobs = scratch / "blobs"
            self._stand_in(blobs)
            counter = Counter(report, lambda: bytes_below(blobs, scratch / "layout"))

            def progress() -> None:
                self._layers.disk.admit(what)
                counter.tell()

            words = [f"--dest-shared-blob-dir={blobs}", source, f"oci:{scratch / 'layout'}:image"]
            try:
                outside = None if self._is_trusted(registry) else self._outside
                self.skopeo.copy(scratch, registry, words, progress, outside)
            except ProcessFailed as error:
                # What skopeo had written was gone before this can be asked.
                self._layers.disk.admit(what, counter.most)
                raise PullFailed(
                    f"Cannot fetch {what}",
                    _last_words(error),
                    "Check the name, that this server reaches the registry, and the room on the "
                    "disk; a registry without TLS or on this server's own network, a mirror or "
                    "a login must be set first.",
                ) from error
            counter.end("Downloaded")
            yield ocilayout.read(scratch / "layout", blobs)

    def _keep(self, fetched: LayoutImage, report: Report) -> Image:
        known = self._images.resolve(fetched.id)
        if known is not None and all(map(self._layers.is_sound, known.layers)):
            return known
        _refuse_other_machine(fetched.config)
        layers = [self._keep_layer(blob, report) for blob in fetched.layers]
        if known is not None:
            return self._images.mend(known.id, layers)
        return self._images.add(fetched.config, layers, image=fetched.id)

    def _keep_layer(self, blob: LayerBlob, report: Report) -> LayerId:
        """The layer of a blob: the one that is here, or a new one of its content."""
        lock = files.FileLock(self._locks / "unpack.lock", f"unpacking {blob.digest}")
        # One at a time: two pulls of one image unpack each layer once.
        with lock:
            layer = self._layers.find(blob.diff_id)
            if layer is not None:
                return layer
            size = blob.path.stat().st_size
            report.detail(f"Unpacking {blob.digest[7:19]} ({size / 1e6:.1f} MB)")
            # A manifest may name the blob of another layer, for which an empty file stands here.
            ocilayout.verify(blob)
            upper = self._layers.new_upper()
            try:
                reserve = self._layers.disk.reserve
                unpacked = unpack(blob.path, upper, diff_id=blob.diff_id, reserve=reserve)
                layer = self._layers.commit(upper, diff_id=blob.diff_id)
            except BaseException:
                self._layers.abandon(upper)
                raise
        if unpacked.nobodies:
            report.warn(f"{unpacked.nobodies} files have ids above 65535: now nobody's")
        # Here alone: other pulls rely on it, and a manifest's word for it is anybody's.
        self._layers.remember_blob(blob.digest, size, blob.diff_id)
        blob.path.unlink()
        return layer

    def _stand_in(self, blobs: Path) -> None:
        (blobs / "sha256").mkdir(parents=True)
        for digest, size in self._layers.known_blobs().items():
            path = blob_path(blobs, digest)
            try:
                with path.open("wb") as file:
                    file.truncate(size)
            except OSError as error:
                # A size that this file system has no files of: downloaded again, then.
                if error.errno not in (errno.EFBIG, errno.EINVAL):
                    raise
                path.unlink()

    def _deliver(
        self, image: Image, target: str, what: str, report: Report, registry: str = ""
    ) -> None:
        self._layers.disk.admit(what, sum(map(self._layers.size, image.layers)))
        with self._scratch() as scratch:
            layout = scratch / "layout"
            packed = [self._pack(layer, layout) for layer in image.layers]
            ocilayout.write(layout, image.config, packed)
            report.detail(f"Sending {sum(one.size for one in packed) / 1e6:.1f} MB")
            words = [f"oci:{layout}", target]
            try:
                progress = partial(self._layers.disk.admit, what)
                self.skopeo.copy(scratch, registry, words, progress)
            except ProcessFailed as error:
                raise PushFailed(
                    f"Cannot deliver the image to {what}",
                    _last_words(error),
                    "Check the address and the login of the registry, or the room on the disk.",
                ) from error

    def _pack(self, layer: LayerId, layout: Path) -> Packed:
        folder = layout / "blobs" / "sha256"
        folder.mkdir(parents=True, exist_ok=True)
        unnamed = folder / f"{layer}.tar"
        with unnamed.open("wb") as target:
            packed = pack(self._layers.path(layer), target)
        unnamed.rename(blob_path(layout / "blobs", packed.digest))
        # Not for a pulled layer: its own digest finds it when it is pulled again.
        if self._layers.diff_id(layer) is None:
            self._layers.set_diff_id(layer, packed.digest)
        return packed

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """A directory of our own, gone at the end; without the lease it would be collected."""
        folder = self._engine / "scratch"
        with self._layers.lease():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = Path(tempfile.mkdtemp(prefix="transfer-", dir=folder))
            try:
                yield path
            finally:
                files.remove_tree(path)


def find_or_pull(images: Images, registry: Registry, ref: str, report: Report) -> Image:
    """The image of a name, pulled when it is not here.

    Raises what `Registry.pull` does, and `ImageNotFound` for a local name.
    """
    name = parse_reference(ref)
    known = images.resolve(name)
    if known is not None:
        return known
    if name.local:
        raise ImageNotFound(f"There is no image {name}")
    return registry.pull(name, report)


def _refuse_local(name: Reference, verb: str) -> None:
    if name.local:
        raise LocalName(
            f"{name} cannot be {verb}: names below paas/ are this server's own",
            resolution="Use the name of a registry's image.",
        )


def _refuse_other_machine(config: ImageConfig) -> None:
    """An image with one manifest only is delivered whatever it is made for."""
    found, here = f"{config.os}/{config.architecture}", f"linux/{host_architecture()}"
    if found != here:
        raise InvalidImage(
            f"The image is made for {found}, this server is {here}",
            resolution=f"Use an image that is made for {here} too.",
        )


def _last_words(error: ProcessFailed) -> list[str]:
    return error.stderr.decode("utf-8", "replace").splitlines()[-3:]
