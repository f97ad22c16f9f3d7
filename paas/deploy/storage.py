"""Volumes of apps: making them, mounting them, and copying them out and in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from paas.deploy.running import owner_of
from paas.deploy.starting import deploying, using
from paas.engine.engine import Engine
from paas.engine.spec import Mount
from paas.engine.volumes import Volumes
from paas.errors import PaasError
from paas.model.app import App
from paas.model.storage import Mounted, Volume
from paas.store.storage import VolumeInUse, VolumeUnknown
from paas.store.store import Store

TOO_LARGE = "volume too large"
AGAIN_SECONDS = 86400.0
KEPT = "storage."
"""Before the name of each in the engine."""

MountsOf = Callable[[App, str], tuple[Mount, ...]]
"""What a container of an app and process type has mounted."""


class VolumeBusy(PaasError):
    """Instances that run, or are being started, have the volume mounted."""

    def __init__(self, name: str, apps: Sequence[str]) -> None:
        super().__init__(
            f"Instances of {', '.join(apps)} have the volume {name} open, or may in a moment",
            resolution=f"Stop them first, and deploy later: paas ps:stop {apps[0]}",
        )


@dataclass(frozen=True)
class Storage:
    """Each method raises `PaasError`."""

    store: Store
    engine: Engine

    @property
    def _volumes(self) -> Volumes:
        return Volumes(self.engine.layout, self.engine.rootfs)

    def create(
        self,
        name: str,
        *,
        owner: tuple[int, int] | None,
        mode: int,
        size: int | None,
        quota: int | None = None,
        actor: str,
    ) -> None:
        """Make a volume. Without an `owner` it begins as the image says that first uses it."""
        with self._volumes.making(), self.store.transaction():
            self.store.storage.create(name, size, quota)
            uid, gid = owner or (0, 0)
            # What is there is a destroyed one's, whose end was cut short: it never comes back.
            self._volumes.remove(_kept(name))
            self._volumes.create(_kept(name), uid=uid, gid=gid, mode=mode, quota=quota)
            if owner is not None:
                self._volumes.settle(_kept(name))
            self.store.events.add(actor, "", "volume created", name)

    def destroy(self, name: str, *, actor: str) -> None:
        """Remove a volume and all in it. Raises `VolumeInUse`, `VolumeBusy`."""
        self.check_unused(name)
        with self._volumes.ending():
            with self.store.transaction():
                self.store.storage.destroy(name)
                self.store.events.add(actor, "", "volume destroyed", name)
            # Killed in between it is nobody's, and the next `sweep` takes it away.
            self._volumes.discard(_kept(name))
        self._volumes.sweep()

    def sweep(self) -> None:
        """End what killed commands left: files of volumes that are no more, or not yet."""
        with self._volumes.ending():
            known = {_kept(volume.name) for volume in self.store.storage.list()}
            for name in self._volumes.list():
                if name.startswith(KEPT) and name not in known:
                    self._volumes.discard(name)
        self._volumes.sweep()
        # As it should be, not as a command that was killed, or another disk, has it.
        there = set(self._volumes.list())
        for volume in self.store.storage.list():
            with suppress(VolumeUnknown):
                if _kept(volume.name) in there:
                    self._bound(volume.name)

    def _bound(self, name: str) -> None:
        """Bound a volume as its row says when that is done: a large tree takes long, and nobody
        else's transactions wait for it.
        """
        done, wanted = False, self.store.storage.get(name).quota
        while not done:
            self._volumes.bound(_kept(name), wanted)
            before, wanted = wanted, self.store.storage.get(name).quota
            done = wanted == before

    def change(self, volume: Volume, *, actor: str) -> None:
        """Give a volume another size or quota. Raises `NoQuotas`, `QuotaTooSmall`."""
        with self.store.transaction():
            before = self.store.storage.get(volume.name)
            self.store.storage.change(volume)
            # Killed behind it, the row is the old one, and the next `sweep` bounds it so.
            if volume.quota != before.quota:
                self._volumes.bound(_kept(volume.name), volume.quota)
            detail = f"{volume.name} size={volume.bytes} quota={volume.quota}"
            self.store.events.add(actor, "", "volume changed", detail)

    def require_quotas(self) -> None:
        """Raises `NoQuotas` where volumes cannot have any, with what that takes."""
        self._volumes.quotas.require()

    def unbounded(self) -> list[str]:
        """The volumes that have a quota which the kernel does not enforce."""
        found = []
        for volume in self.store.storage.list():
            usage = self._volumes.usage(_kept(volume.name))
            if volume.quota is not None and (usage is None or not usage.limit):
                found.append(volume.name)
        return found

    def check_unused(self, name: str) -> None:
        """Raises `VolumeInUse` while an app has it mounted, `VolumeUnknown`."""
        self.store.storage.get(name)
        apps = [app for _, app in self.store.storage.users(name)]
        if apps:
            raise VolumeInUse(name, apps)

    def mount(self, app: App, mounted: Mounted, *, actor: str) -> None:
        """Have the app's next instances find something at a path."""
        with self.store.transaction():
            self.store.storage.mount(app.id, mounted)
            self.store.events.add(actor, app.name, "storage mounted", str(mounted))

    def unmount(self, app: App, mounted: Mounted, *, actor: str) -> None:
        """Have the app's next instances do without it."""
        with self.store.transaction():
            self.store.storage.unmount(app.id, mounted)
            self.store.events.add(actor, app.name, "storage unmounted", str(mounted))

    def size(self, volume: Volume) -> int:
        """Bytes that it takes on the disk."""
        return self._volumes.size(_kept(volume.name))

    def is_empty(self, volume: Volume) -> bool:
        """Whether nothing is in it."""
        return self._volumes.is_empty(_kept(volume.name))

    def warn(self) -> None:
        """Add an event for each volume that is larger than it should stay, once a day."""
        for volume in self.store.storage.list():
            used = self.size(volume) if volume.bytes is not None else 0
            if volume.bytes is None or used <= volume.bytes:
                continue
            detail = f"{volume.name} has {used:,} bytes, of {volume.bytes:,}"
            for app in [name for _, name in self.store.storage.users(volume.name)] or [""]:
                last = self.store.events.last(app, TOO_LARGE)
                if last is None or self.engine.clock.now() - last.at >= AGAIN_SECONDS:
                    self.store.events.add("supervisor", app, TOO_LARGE, detail)

    def export(self, name: str, target: int) -> None:
        """Write a volume as a tar stream to a descriptor."""
        self.store.storage.get(name)
        self._volumes.export(_kept(name), target)

    def check_idle(self, name: str) -> None:
        """Raises `VolumeBusy` while an instance runs that has the volume."""
        users = self.store.storage.users(name)
        owners = {one.owner for one in self.engine.containers.list()}
        running = [app for app_id, app in users if owner_of(app_id) in owners]
        if running:
            raise VolumeBusy(name, running)

    def replace(self, name: str, source: int, *, actor: str) -> None:
        """Make a tar stream all that is in a volume.

        Raises `VolumeBusy`, also when an instance was started while the stream came.
        """
        self.store.storage.get(name)
        self.check_idle(name)
        self._volumes.replace(_kept(name), source, self._idle(name))
        self.store.events.add(actor, "", "volume imported", name)

    @contextmanager
    def _idle(self, name: str) -> Iterator[None]:
        """For a moment nobody has the volume, and nobody is let start what has it.

        Raises `VolumeBusy`, `VolumeUnknown`.
        """
        layout, holder = self.engine.layout, f"importing the volume {name}"
        # In a transaction: no other app begins to mount it meanwhile.
        with self.store.transaction(), ExitStack() as held:
            self.store.storage.get(name)
            for app_id, app in self.store.storage.users(name):
                for lock in (deploying(layout, app_id, holder), using(layout, app_id, alone=True)):
                    if not lock.try_acquire():
                        raise VolumeBusy(name, [app])
                    held.callback(lock.release)
            self.check_idle(name)
            yield

    def mounts(self, app: App, process_type: str) -> tuple[Mount, ...]:
        """What a container has mounted, outer directories first."""
        wanted = {
            each.target: each
            for each in sorted(self.store.storage.mounts(app.id), key=lambda m: m.process_type)
            if each.process_type in ("", process_type)
        }
        return tuple(self._mount(app, wanted[target]) for target in sorted(wanted))

    def _mount(self, app: App, mounted: Mounted) -> Mount:
        user_range = self.engine.ranges.range_for(owner_of(app.id))
        if mounted.is_directory:
            return self._volumes.bind(
                Path(mounted.source), user_range, mounted.target, read_only=mounted.read_only
            )
        return self._volumes.mount(
            _kept(mounted.source),
            user_range,
            mounted.target,
            read_only=mounted.read_only,
            subpath=mounted.subpath,
            fill=not mounted.subpath,
        )


def _kept(name: str) -> str:
    """The engine's name: what builds keep there is not in the way."""
    return f"{KEPT}{name}"
