"""COPY and ADD: put what was selected where the instruction says."""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from paas.engine import inside
from paas.engine.build.archive import Extracted
from paas.engine.build.cache import Input
from paas.engine.build.errors import Location
from paas.engine.build.modes import Mode
from paas.engine.build.select import Selected, select
from paas.engine.build.sources import Item, Source, TreeSource
from paas.engine.build.target import Attributes, Target
from paas.engine.users import MAX_ID, NoSuchUser, resolve_user
from paas.host.disk import Disk


@dataclass(frozen=True)
class Order:
    """One COPY, expanded: all of it but the contents is in here.

    `target` is absolute and ends in a slash if it must be a directory; `documents` are
    names and contents.
    """

    target: str
    owner: str = ""
    mode: Mode | None = None
    documents: tuple[tuple[str, bytes], ...] = ()
    parents: bool = False
    unpack: bool = False

    @property
    def inputs(self) -> dict[str, Input]:
        """All of it, for a key."""
        return {
            "target": self.target,
            "owner": self.owner,
            "mode": self.mode.text if self.mode else None,
            "documents": [[name, content.decode("utf-8")] for name, content in self.documents],
            "parents": self.parents,
            "unpack": self.unpack,
        }


Extract = Callable[[Source, Item], "Extracted | None"]
"""Unpacks a file that is an archive, else returns None."""


def target_path(target: str, workdir: str) -> str:
    """The destination, absolute; the slash at its end is kept, `.` gets one."""
    slash = "/" if target.endswith("/") or target in ("", ".", "..") else ""
    if target.endswith(("/.", "/..")):
        slash = "/"
    path = posixpath.normpath(posixpath.join("/", workdir, target))
    return path if path == "/" else path + slash


def owner_of(text: str, root: Path, at: Location, what: str) -> tuple[int, int] | None:
    """The numbers that a user and group mean in the tree at `root`, None if none are given.

    `what` gives them, such as `--chown`. A user's number alone is the group's too
    (Dockerfile reference). Raises `StepFailed`.
    """
    if not text:
        return None
    user, colon, group = text.partition(":")
    try:
        if user.isdecimal() and not group and int(user) <= MAX_ID:
            return int(user), int(user)
        whole = f"{user}:{group}" if colon and group else user
        found = resolve_user(whole, inside.read(root, "etc/passwd"), inside.read(root, "etc/group"))
    except NoSuchUser as error:
        raise at.failure(
            f"{what} {text}: {error.brief}",
            resolution="Make it in a RUN before, or use a number.",
        ) from None
    return found.uid, found.gid


def copy(
    order: Order,
    root: Path,
    selections: Sequence[tuple[Source, Sequence[Selected]]],
    at: Location,
    extract: Extract,
    disk: Disk | None = None,
) -> None:
    """Write what `selections` (one for each source) and the order name into the tree at `root`.

    `disk` is asked for room. Raises `StepFailed`, `CannotCopy` or `DiskFull`; then part of it
    is written.
    """
    attributes = Attributes(owner_of(order.owner, root, at, "--chown"), order.mode)
    target = Target(root, attributes, disk)
    mtime = next((one.item.mtime for _, many in selections for one in many), 0.0)
    # With a slash it is a directory, whatever is put there; even if that is nothing.
    if order.target.endswith("/"):
        target.make_directories(order.target)
    for source, many in selections:
        for one in many:
            _copy_one(order, target, source, one, extract)
            target.forget_links()
    for name, content in order.documents:
        target.put_bytes(content, _place(order, target, name), mtime)
    target.finish()


def _place(order: Order, target: Target, name: str) -> str:
    """Where a file of that name goes: into the destination, or to it."""
    if order.parents:
        return posixpath.join(order.target, name)
    if order.target.endswith("/") or target.is_directory(order.target):
        return posixpath.join(order.target, name)
    # A link at the very destination is written through, as in every builder.
    return target.real(order.target)


def _copy_one(
    order: Order, target: Target, source: Source, one: Selected, extract: Extract
) -> None:
    if one.item.is_dir:
        place = posixpath.join(order.target, one.name) if order.parents else order.target
        _copy_directory(target, source, one, place.rstrip("/") or "/")
        return
    if order.unpack and not one.packed and stat.S_ISREG(one.item.mode):
        unpacked = extract(source, one.item)
        if unpacked is not None:
            target.make_directories(order.target)
            _copy_unpacked(target.as_it_is(), order.target, unpacked)
            return
    target.put(source, one.item, _place(order, target, one.name))


def _copy_directory(
    target: Target, source: Source, one: Selected, place: str, implied: Container[str] = ()
) -> None:
    """The contents of a directory go into the destination, which keeps its attributes; one
    that is made for them has none of the source's, as in BuildKit and buildah."""
    if not target.is_directory(place):
        target.make_directories(place)
    for name, item in one.below:
        path = posixpath.join(place, name)
        if item.is_dir and name in implied:
            target.make_directories(path)
        elif item.is_dir:
            target.put_directory(item, path)
        else:
            target.put(source, item, path)


def _copy_unpacked(target: Target, place: str, unpacked: Extracted) -> None:
    """With the owners and modes that the archive says: neither --chown nor --chmod is for
    them, as in BuildKit and buildah."""
    tree = TreeSource(unpacked.tree)
    for one in select(tree, "/") or ():
        _copy_directory(target, tree, one, place.rstrip("/") or "/", unpacked.implied)
    target.finish()
