"""What a builder made, in a form in which two builders' images can be compared."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.engine.build.corpus.case import Case
from tests.engine.build.rig import Rig


@dataclass(frozen=True)
class Node:
    """One path of an image: all of it but its times. `names` are its hard links."""

    mode: str
    owner: tuple[int, int]
    content: bytes
    xattrs: Mapping[str, bytes]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Product:
    """The files of an image, and what it says of how it is run."""

    tree: Mapping[str, Node]
    config: Mapping[str, Any]


def ours(rig: Rig, case: Case, context: Path) -> Product:
    """A case as our builder builds it; its files are in `context`."""
    image = rig.build_in(context, build_args=case.args, target=case.target)
    with rig.workspace.tree(image.layers) as root:
        # By what a registry or `docker load` would be given.
        return Product(look(root), config_of(image.config.to_json()))


def look(root: Path) -> dict[str, Node]:
    """`root`, as `.`, and every path below it."""
    paths = [root, *sorted(root.rglob("*"))]
    names: dict[tuple[int, int], list[str]] = {}
    for path in paths:
        status = path.lstat()
        if stat.S_ISREG(status.st_mode):
            names.setdefault((status.st_dev, status.st_ino), []).append(os.path.relpath(path, root))
    return {os.path.relpath(path, root): _node(path, names) for path in paths}


def _node(path: Path, names: Mapping[tuple[int, int], Sequence[str]]) -> Node:
    status = path.lstat()
    content = b""
    if path.is_symlink():
        content = os.fsencode(path.readlink())
    elif path.is_file():
        content = path.read_bytes()
    xattrs = {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in os.listxattr(path, follow_symlinks=False)
        if not name.startswith("trusted.overlay")
    }
    linked = names.get((status.st_dev, status.st_ino), ())
    mode = stat.filemode(status.st_mode)
    return Node(mode, (status.st_uid, status.st_gid), content, xattrs, tuple(linked))


def config_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an image's configuration, without what only names its builder."""
    config = document["config"]
    health = config.get("Healthcheck") or {}
    labels = {k: v for k, v in (config.get("Labels") or {}).items() if "buildah" not in k}
    return {
        "env": sorted(config.get("Env") or ()),
        "cmd": tuple(config.get("Cmd") or ()),
        "entrypoint": tuple(config.get("Entrypoint") or ()),
        "workdir": config.get("WorkingDir") or "/",
        "user": config.get("User") or "",
        "volumes": sorted(config.get("Volumes") or ()),
        "ports": sorted(config.get("ExposedPorts") or ()),
        "labels": labels,
        "signal": config.get("StopSignal") or "",
        "shell": tuple(config.get("Shell") or ()),
        "onbuild": tuple(config.get("OnBuild") or ()),
        "author": document.get("author") or "",
        "health": {
            name: health[name]
            for name in ("Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")
            if health.get(name)
        },
    }


MOUNT_POINTS = frozenset(
    {"dev", "etc/hostname", "etc/hosts", "etc/resolv.conf", "proc", "run", "run/secrets", "sys"}
)
"""Places to mount on, made for a RUN and left in the image by others; ours takes them out."""


def differences(own: Product, theirs: Product, name: str) -> dict[str, str]:
    """Paths and fields that are not equal, with what each builder has."""
    found = {}
    for path in sorted(own.tree.keys() | theirs.tree.keys()):
        left, right = own.tree.get(path), theirs.tree.get(path)
        if path == "." and right is None:  # not every builder tells
            continue
        if left != right and not (left is None and path in MOUNT_POINTS):
            found[path] = f"{path}:\n  ours {left}\n  {name} {right}"
    for field, value in own.config.items():
        if value != theirs.config[field]:
            found[field] = f"{field}:\n  ours {value!r}\n  {name} {theirs.config[field]!r}"
    return found
