"""Which files a COPY means: its sources, with patterns, as trees of items.

Nothing is written here. The same selection makes the cache key and is then copied.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from paas.engine.build.dockerignore import Ignore, compile_glob
from paas.engine.build.sources import Item, Source, resolve

_WILDCARD = re.compile(r"[*?\[\\]")


@dataclass(frozen=True)
class Selected:
    """One source of a COPY: `name` is what it is called in a directory it is put into.

    `below` are the things in a directory, by their path relative to it, each directory
    before what is in it.
    """

    name: str
    item: Item
    below: tuple[tuple[str, Item], ...] = ()
    packed: bool = False
    """An archive stays one, whatever ADD does with others."""


def select(
    source: Source, pattern: str, *, exclude: Sequence[str] = (), parents: bool = False
) -> list[Selected] | None:
    """What `pattern` (a path, or Go's filepath.Match) means; None if a plain path is not there.

    A pattern may mean nothing. A symbolic link that is named itself is followed, as
    every builder does; those in a directory are copied as links. Raises `ContextError`
    for a link that leads out.
    """
    root, pivot, rest = pattern.partition("/./") if parents else ("", "", "")
    plain = posixpath.normpath("/" + (f"{root}/{rest}" if pivot else pattern)).strip("/")
    base = posixpath.normpath("/" + root).strip("/") if pivot else ""
    ignore = Ignore("\n".join(exclude)) if exclude else None
    if not _WILDCARD.search(plain):
        found = resolve(source, plain)
        if found is None:
            return None
        return _selected(source, plain, found, base if parents else None, ignore)
    matches = sorted(_matches(source, "", plain.split("/")))
    return [
        one
        for named in matches
        if (found := resolve(source, named)) is not None
        for one in _selected(source, named, found, base if parents else None, ignore)
    ]


def _matches(source: Source, directory: str, parts: list[str]) -> Iterator[str]:
    """Paths below `directory` that the parts of a pattern match, as they are named."""
    part, rest = parts[0], parts[1:]
    if part == "**":
        if rest:
            yield from _matches(source, directory, rest)
        real = resolve(source, directory) or ""
        for name in _names(source, directory):
            below = posixpath.join(directory, name)
            if not rest:
                yield below
            # Into directories, not through links: those may lead in a circle, or out.
            item = source.find(posixpath.join(real, name))
            if item is not None and item.is_dir:
                yield from _matches(source, below, parts)
        return
    if _WILDCARD.search(part):
        glob = compile_glob(part)
        names = [name for name in _names(source, directory) if glob.fullmatch(name)]
    else:
        names = [part]
    for name in names:
        path = posixpath.join(directory, name)
        if rest:
            yield from _matches(source, path, rest)
        elif resolve(source, path) is not None:
            yield path


def _names(source: Source, directory: str) -> list[str]:
    found = resolve(source, directory)
    item = None if found is None else source.find(found)
    return source.names(item.path) if item is not None and item.is_dir else []


def _selected(
    source: Source, named: str, path: str, base: str | None, ignore: Ignore | None
) -> list[Selected]:
    item = source.find(path)
    if item is None:
        return []
    name = posixpath.basename(named) if base is None else posixpath.relpath(named, base or ".")
    if not item.is_dir:
        if ignore is not None and ignore.excludes(posixpath.basename(named)):
            return []
        return [Selected(name, item)]
    return [Selected(name, item, tuple(_below(source, path, "", ignore)))]


def _below(
    source: Source, path: str, relative: str, ignore: Ignore | None
) -> Iterator[tuple[str, Item]]:
    for name in source.names(path):
        inner = posixpath.join(relative, name)
        if ignore is not None and ignore.excludes(inner):
            continue
        item = source.find(posixpath.join(path, name))
        if item is None:
            continue
        yield inner, item
        if item.is_dir:
            yield from _below(source, item.path, inner, ignore)


def content_key(source: Source, selected: Sequence[Selected]) -> str:
    """A name of everything in a selection but its modification times."""
    found = hashlib.sha256()
    for one in selected:
        for name, item in ((one.name, one.item), *one.below):
            line = f"{name}\0{item.mode:o} {item.uid}:{item.gid}\0{source.digest(item)}\n"
            found.update(line.encode("utf-8", "surrogateescape"))
        found.update(b"\n")
    return found.hexdigest()
