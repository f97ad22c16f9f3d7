"""What a RUN step has mounted: `--mount` of every type, made ready and taken away again."""

from __future__ import annotations

import os
import posixpath
import secrets
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from paas.engine.build.agents import AgentSocket, offered
from paas.engine.build.caches import CacheDirectory, CacheMounts
from paas.engine.build.copy import Order, copy
from paas.engine.build.errors import Location
from paas.engine.build.read_mount import BIND, CACHE, LOCKED, PRIVATE, SHARED, TMPFS, MountFlag
from paas.engine.build.rules import Rules
from paas.engine.build.select import Selected, select
from paas.engine.build.sources import Source, TreeSource, resolve
from paas.engine.build.workspace import Workspace
from paas.engine.layers import LayerId
from paas.engine.rootfs import Rootfs
from paas.engine.spec import Mount
from paas.engine.userns import UserRange, UserRanges
from paas.host import files
from paas.model.env import Secret
from paas.model.layout import Layout

STRICTNESS = ("", SHARED, PRIVATE, LOCKED)

MAX_PRIVATE = 64
"""Directories of one private cache, each used by one step at a time."""


@dataclass(frozen=True)
class Wanted:
    """One mount with what it is made of: files of layers, or of the context.

    `flag` has an absolute target. `selected` are the context's files; `layers` those of a
    stage or an image; neither is an empty directory.
    """

    flag: MountFlag
    at: Location
    layers: tuple[LayerId, ...] | None = None
    source: Source | None = None
    selected: Sequence[Selected] = ()


@dataclass(frozen=True)
class SecretFile:
    """A file that only this step sees; ids are the container's."""

    target: str
    content: Secret
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True)
class Provided:
    """What the container of a step gets."""

    mounts: tuple[Mount, ...] = ()
    tmpfs: Mapping[str, int] = field(default_factory=dict)


class StepMounts:
    """Makes what steps mount."""

    def __init__(
        self,
        layout: Layout,
        workspace: Workspace,
        rootfs: Rootfs,
        ranges: UserRanges,
        caches: CacheMounts,
    ) -> None:
        self._tree = layout.engine_fs
        self._directory = layout.run / "build"
        self._workspace = workspace
        self._rootfs = rootfs
        self._ranges = ranges
        self.caches = caches

    @contextmanager
    def provided(
        self,
        wanted: Sequence[Wanted],
        secret_files: Sequence[SecretFile],
        agents: Sequence[AgentSocket],
        rules: Rules,
    ) -> Iterator[Provided]:
        """What `wanted`, the secrets and the agents are in the container, while the step runs.

        What is written into a bind mount is dropped. Raises `StepFailed` for a source that
        is not there.
        """
        user_range = self._ranges.range_for(rules.owner)
        with ExitStack() as stack:
            mounts = [self._bind(stack, one, user_range) for one in wanted if one.flag.kind == BIND]
            caches: dict[str, list[Wanted]] = defaultdict(list)
            for one in wanted:
                if one.flag.kind == CACHE:
                    caches[one.flag.id].append(one)
            # In one order for all builds: no two wait for each other.
            for _, same in sorted(caches.items()):
                mounts += self._cache(stack, same, user_range, rules)
            if secret_files or agents:
                folder = self._folder(stack)
                for number, secret in enumerate(secret_files):
                    mounts.append(_write_secret(folder / str(number), secret, user_range))
                for number, agent in enumerate(agents):
                    mounts.append(_offer(stack, folder / f"agent-{number}", agent, user_range))
            most = rules.limits.memory_bytes
            tmpfs = {
                one.flag.target: one.flag.size or most for one in wanted if one.flag.kind == TMPFS
            }
            # What is mounted in another mount comes after it.
            yield Provided(tuple(sorted(mounts, key=_depth)), tmpfs)

    def _cache(
        self, stack: ExitStack, same: Sequence[Wanted], user_range: UserRange, rules: Rules
    ) -> list[Mount]:
        """The mounts of one cache: claimed once, as a step that came second to it in itself
        would wait for ever, and by the strictest of them.
        """
        strictest = max((one.flag for one in same), key=lambda flag: STRICTNESS.index(flag.sharing))
        directory = self._claim(stack, strictest, rules)
        self._fill(same[0], directory)
        below = self.caches.path(directory).relative_to(self._tree)
        tree = self._rootfs.idmapped(user_range)
        return [Mount(tree / below, one.flag.target, bool(one.flag.read_only)) for one in same]

    def _folder(self, stack: ExitStack) -> Path:
        """A directory on a tmpfs; passed by the container's root, listed by nobody."""
        self._directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        folder = self._directory / f"secrets-{secrets.token_hex(8)}"
        folder.mkdir(mode=0o711)
        stack.callback(files.remove_tree, folder)
        return folder

    def _bind(self, stack: ExitStack, one: Wanted, user_range: UserRange) -> Mount:
        upper = stack.enter_context(self._workspace.scratch())
        path = one.flag.source
        if one.layers is None:
            path = self._write(one, upper)
        else:
            self._workspace.imitate(upper, one.layers)
        root = stack.enter_context(self._workspace.mounted(one.layers or (), upper, user_range))
        found = resolve(TreeSource(root), path)
        if found is None:
            raise missing(one.at, one.flag)
        return Mount(root / found, one.flag.target, bool(one.flag.read_only))

    def _write(self, one: Wanted, upper: Path) -> str:
        """The context's files below `upper`; where the source is in there."""
        if one.source is None or not one.selected:
            return ""
        first = one.selected[0]
        order = Order("/" if first.item.is_dir else "/file")
        copy(order, upper, [(one.source, one.selected)], one.at, lambda *_: None)
        return "" if first.item.is_dir else "file"

    def _claim(self, stack: ExitStack, flag: MountFlag, rules: Rules) -> CacheDirectory:
        """The directory of a cache, locked until the stack ends."""
        alone = flag.sharing in (LOCKED, PRIVATE)
        for number in range(1, MAX_PRIVATE if flag.sharing == PRIVATE else 1):
            with self.caches.find(rules.offer.scope, _numbered(flag.id, number - 1)) as directory:
                lock = self.caches.lock(directory, shared=False)
                if lock.try_acquire():
                    stack.callback(lock.release)
                    return directory
        with self.caches.find(rules.offer.scope, flag.id) as directory:
            lock = self.caches.lock(directory, shared=not alone)
            taken = lock.try_acquire()
        if not taken:
            # Somebody has it alone: his turn first. Nobody removes what is in use.
            rules.take(lock)
        stack.callback(lock.release)
        return directory

    def _fill(self, one: Wanted, directory: CacheDirectory) -> None:
        """Make the directory; a new one begins with the files of `from`."""
        flag = one.flag
        mode = 0o755 if flag.mode is None else flag.mode
        new = self.caches.create(directory, uid=flag.uid or 0, gid=flag.gid or 0, mode=mode)
        if not new or one.layers is None:
            return
        with self._workspace.tree(one.layers) as root:
            source = TreeSource(root)
            selected = select(source, flag.source or "/")
            if not selected or not selected[0].item.is_dir:
                raise missing(one.at, flag)
            path = self.caches.path(directory)
            copy(Order("/"), path, [(source, selected)], one.at, lambda *_: None)


def _write_secret(path: Path, secret: SecretFile, user_range: UserRange) -> Mount:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "wb") as file:  # noqa: PTH123  a descriptor
        file.write(secret.content.reveal().encode("utf-8", "surrogateescape"))
        os.fchown(file.fileno(), user_range.base + secret.uid, user_range.base + secret.gid)
        os.fchmod(file.fileno(), secret.mode)
    return Mount(path, secret.target, read_only=True)


def _offer(stack: ExitStack, path: Path, agent: AgentSocket, user_range: UserRange) -> Mount:
    uid, gid = user_range.base + agent.uid, user_range.base + agent.gid
    stack.enter_context(offered(agent.agent, path, uid, gid, agent.mode))
    # Read-only is the mount: connect(2) asks for the mode of the socket.
    return Mount(path, agent.target, read_only=True)


def _depth(mount: Mount) -> int:
    return mount.target.rstrip("/").count("/")


def _numbered(cache_id: str, number: int) -> str:
    return f"{cache_id}#{number}" if number else cache_id


def missing(at: Location, flag: MountFlag) -> Exception:
    """The error for a source that is not there, to be raised by the caller."""
    where = flag.origin or "the build context"
    path = posixpath.normpath("/" + flag.source)
    return at.failure(f'RUN --mount: "{path}" is not in {where}')
