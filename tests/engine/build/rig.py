"""A whole engine for the builder's tests, a base image of busybox, and eyes to see with."""

from __future__ import annotations

import os
import secrets
import socket
import stat
import subprocess
import tarfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from paas.engine.build.builder import Builder
from paas.engine.build.buildhost import BuildHost
from paas.engine.build.cache import Cache
from paas.engine.build.caches import CacheMounts
from paas.engine.build.context import ContextEntry, DirectoryContext
from paas.engine.build.maker import Tools
from paas.engine.build.mounts import StepMounts
from paas.engine.build.remote import Remotes
from paas.engine.build.run import Runner
from paas.engine.build.workspace import Workspace
from paas.engine.bundler import Bundler
from paas.engine.config import ImageConfig
from paas.engine.foreground import Foreground
from paas.engine.images import Image, ImageNotFound, Images
from paas.engine.layers import Layers
from paas.engine.network.network import Network
from paas.engine.outside import Outside
from paas.engine.rootfs import Rootfs
from paas.engine.userns import UserRanges
from paas.host.cgroups import Cgroups
from paas.host.clock import SystemClock
from paas.host.database import Database
from paas.model.layout import Layout
from paas.model.report import Report
from tests.ports import free_port

BASE = "paas/test-base:1"
PASSWD = "root:x:0:0:root:/root:/bin/sh\nbin:x:2:3:bin:/bin:/bin/false\nme:x:1000:1001::/home/me:\n"
GROUP = "root:x:0:\nstaff:x:50:me\n"


def own_address() -> str:
    """An address of this machine that is not loopback (nothing is sent)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


@dataclass
class Told:
    """A report that remembers."""

    details: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    raw: bytes = b""

    def step(self, text: str) -> None:
        """Drop it."""

    def result(self, text: str) -> None:
        """Drop it."""

    def detail(self, text: str) -> None:
        self.details.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def output(self, data: bytes) -> None:
        self.raw += data

    @property
    def cached(self) -> list[bool]:
        """Of each step, whether it said CACHED."""
        return [line.endswith(" CACHED") for line in self.details]


@dataclass(frozen=True)
class Seen:
    """One file of an image, with ids as the container sees them."""

    kind: str
    mode: int
    owner: tuple[int, int]
    content: bytes | str = b""
    mtime: int = 0


class Tree:
    """A build context in memory, of a fixed time."""

    mtime = 1_600_000_000

    def __init__(self, root: Path, contents: Mapping[str, str | bytes]) -> None:
        """A text that begins with `-> ` is a link; a path that ends in `/` a directory."""
        root.mkdir(parents=True)
        for name, content in contents.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("/"):
                path.mkdir(exist_ok=True)
            elif isinstance(content, bytes):
                path.write_bytes(content)
            elif content.startswith("-> "):
                path.symlink_to(content.removeprefix("-> "))
            else:
                path.write_text(content)
                path.chmod(0o755 if content.startswith("#!") else 0o644)
        self.root = root
        self.told = Told()
        self._directory = DirectoryContext(root, self.told, self.mtime)

    def entries(self) -> Mapping[str, ContextEntry]:
        return self._directory.entries()

    def read(self, path: str) -> bytes:
        return self._directory.read(path)

    def copy_to(self, path: str, descriptor: int) -> None:
        self._directory.copy_to(path, descriptor)


class Rig:
    """The engine, and what tests ask of it."""

    def __init__(self, root: Path, cleanup: ExitStack, host: BuildHost) -> None:
        root.mkdir()
        (root / "etc").mkdir()
        self.root = root
        self.layout = Layout.at(root)
        self.clock = SystemClock()
        self.db = Database(self.layout.engine_database, files("paas.engine") / "migrations")
        cleanup.callback(self.db.close)
        self.layers = Layers(self.layout, self.db, self.clock)
        self.images = Images(self.db, self.clock)
        self.rootfs = Rootfs(self.layout, self.layers)
        cleanup.callback(self._remove_run)
        cleanup.callback(self.rootfs.teardown)
        ranges = UserRanges(self.layout, self.db, etc=root / "etc")
        self.address, self.ports = own_address(), (free_port(), free_port())
        self.network = Network(
            self.layout, self.db, allowed_egress=[f"{self.address}:{port}" for port in self.ports]
        )
        cleanup.callback(self.network.prefix.release)
        cleanup.callback(self.network.teardown)
        self.network.ensure()
        cgroups = Cgroups.detect(self.layout)
        cleanup.callback(cgroups.remove)
        self.bundler = Bundler(self.layout, self.rootfs, ranges, self.network, cgroups, self.clock)
        foreground = Foreground(self.bundler, self.images)
        runner = Runner(self.layout, self.layers, foreground, lambda: host)
        self.workspace = Workspace(self.layout, self.layers, self.rootfs)
        self.cache = Cache(self.layout, self.db, self.layers, self.clock)
        self.caches = CacheMounts(self.layout, self.db, self.clock)
        mounts = StepMounts(self.layout, self.workspace, self.rootfs, ranges, self.caches)
        remotes = Remotes(self.layout, Outside(self.layout, self.network), self.layers)
        tools = Tools(self.cache, self.workspace, runner, mounts, remotes)
        self.builder = Builder(
            self.images, self.layers, tools, self._pull, self.clock, self._end_thread
        )
        self.pulled: list[str] = []
        self.kept: set[str] = set()
        """What a test has there itself, and `leftovers` does not count."""

    def make_base(self) -> Image:
        """busybox, two users, an old file and links that lead everywhere."""

        def write(upper: Path) -> None:
            for name in ("bin", "etc", "usr/lib", "home/me", "tmp", "old"):
                (upper / name).mkdir(parents=True)
            (upper / "tmp").chmod(0o1777)
            (upper / "bin/busybox").write_bytes(Path("/usr/bin/busybox").read_bytes())
            (upper / "bin/busybox").chmod(0o755)
            for applet in (
                "sh",
                "cat",
                "ls",
                "id",
                "mkdir",
                "chown",
                "chmod",
                "rm",
                "sleep",
                "echo",
                "env",
                "touch",
                "ln",
                "mv",
                "wget",
                "nslookup",
                "test",
                "pwd",
                "head",
                "yes",
                "tr",
                "stat",
                "dd",
                "true",
                "false",
                "printf",
            ):
                (upper / "bin" / applet).symlink_to("busybox")
            (upper / "etc/passwd").write_text(PASSWD)
            (upper / "etc/group").write_text(GROUP)
            (upper / "lib").symlink_to("usr/lib")
            (upper / "out").symlink_to("/old")
            (upper / "climb").symlink_to("../../../../../../old")
            (upper / "nowhere").symlink_to("/not/there")
            (upper / "old/file").write_text("old\n")
            (upper / "old/dir").mkdir(mode=0o700)

        layer = self.workspace.layer((), write)
        assert layer is not None
        image = self.images.add(ImageConfig(cmd=("/bin/sh",)), [layer])
        self.images.tag(BASE, image.id)
        return image

    def context(self, contents: Mapping[str, str | bytes] | None = None) -> Tree:
        return Tree(self.root / f"context-{secrets.token_hex(4)}", contents or {})

    def build(
        self,
        dockerfile: str,
        contents: Mapping[str, str | bytes] | None = None,
        report: Report | None = None,
        **options: object,
    ) -> Image:
        context = self.context({"Dockerfile": dockerfile, **(contents or {})})
        return self.builder.build(context, report=report or Told(), **options)  # type: ignore[arg-type]

    def build_in(self, directory: Path, **options: object) -> Image:
        """Build the Dockerfile of a directory on disk."""
        context = DirectoryContext(directory, Told(), Tree.mtime)
        return self.builder.build(context, report=Told(), **options)  # type: ignore[arg-type]

    def look(self, image: Image, path: str) -> Seen | None:
        return self.look_all(image).get(path.strip("/"))

    def look_all(self, image: Image) -> dict[str, Seen]:
        """Every file of an image, by its path."""
        with self.workspace.tree(image.layers) as root:
            return {os.path.relpath(path, root): _see(path) for path in sorted(root.rglob("*"))}

    def added(self, image: Image) -> dict[str, Seen]:
        """What the topmost layer has."""
        top = self.layers.path(image.layers[-1])
        return {os.path.relpath(path, top): _see(path) for path in sorted(top.rglob("*"))}

    def leftovers(self) -> list[str]:
        """What builds left behind."""
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        own = f"{self.layout.run}/"
        kept = (f"{self.layout.run}/idmap/", f"{self.layout.run}/netns")
        found = [path for path in mounts if path.startswith(own) and not path.startswith(kept)]
        for directory in (self.layout.engine_fs / "tmp", self.layout.run / "build"):
            found += [str(path) for path in directory.glob("*")]
        found += [str(path) for path in self.layout.containers.glob("*")]
        return [path for path in found if path not in self.kept]

    def _end_thread(self) -> None:
        self.db.close()
        self.network.end_thread()

    def _pull(self, ref: str, _: Report) -> Image:
        self.pulled.append(ref)
        raise ImageNotFound(f"There is no image {ref}")

    def _remove_run(self) -> None:
        subprocess.run(["rm", "-rf", "--one-file-system", str(self.layout.run)], check=True)


def base_archive(rig: Rig, archive: Path) -> Path:
    """The base image of our tests, for others to import."""
    image = rig.images.resolve(BASE)
    assert image is not None
    with rig.workspace.tree(image.layers) as root, tarfile.open(archive, "w") as tar:
        tar.add(root, arcname=".")
    return archive


def _see(path: Path) -> Seen:
    status = path.lstat()
    mode = status.st_mode
    kind, content = "other", b""
    if stat.S_ISDIR(mode):
        kind = "dir"
    elif stat.S_ISLNK(mode):
        kind, content = "link", os.fsencode(path.readlink())
    elif stat.S_ISREG(mode):
        kind, content = "file", path.read_bytes()
    return Seen(
        kind, stat.S_IMODE(mode), (status.st_uid, status.st_gid), content, int(status.st_mtime)
    )
