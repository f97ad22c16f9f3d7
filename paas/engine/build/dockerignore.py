""".dockerignore: what of the context a build does not see.

Patterns are Go's filepath.Match with `**`, the last one that matches decides, `!` makes
an exception, and a directory that matches takes along what is in it (Docker's reference,
".dockerignore file", and moby's patternmatcher).
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path

from paas.engine.build.context import Context, ContextEntry
from paas.engine.build.errors import ContextError

MAX_LINKS = 40
"""As many as Linux follows (path_resolution(7))."""


@dataclass(frozen=True)
class Rule:
    """One line. `lead` are the parts of its path before the first that is no plain name."""

    negated: bool
    pattern: re.Pattern[str]
    lead: tuple[str, ...]
    plain: bool

    def may_match_below(self, directory: str) -> bool:
        """Whether something in `directory` could match."""
        parts = tuple(directory.split("/"))
        both = min(len(parts), len(self.lead))
        return parts[:both] == self.lead[:both] and not (
            self.plain and len(parts) >= len(self.lead)
        )


class Ignore:
    """The patterns of one file."""

    def __init__(self, text: str) -> None:
        """Raises `ContextError` for a pattern that is malformed."""
        self._rules = [rule for line in text.splitlines() if (rule := _rule(line))]

    def excludes(self, path: str) -> bool:
        """Whether `path` is left out; every parent of it is asked too."""
        prefixes = [path[: match.start()] for match in re.finditer("/", path)] + [path]
        excluded = False
        for rule in self._rules:
            if rule.negated == excluded and any(map(rule.pattern.fullmatch, prefixes)):
                excluded = not rule.negated
        return excluded

    def excludes_whole(self, directory: str) -> bool:
        """Whether it is left out, and there is no exception that could be below it."""
        return self.excludes(directory) and not any(
            rule.negated and rule.may_match_below(directory) for rule in self._rules
        )

    def kept(self, entries: Mapping[str, ContextEntry]) -> dict[str, ContextEntry]:
        """The entries that are left, and the directories that an exception is in."""
        if not self._rules:
            return dict(entries)
        found: dict[str, ContextEntry] = {}
        for path, entry in entries.items():
            if self.excludes(path):
                continue
            parent = posixpath.dirname(path)
            missing = []
            while parent and parent not in found:
                missing.append(parent)
                parent = posixpath.dirname(parent)
            found.update((name, entries[name]) for name in reversed(missing))
            found[path] = entry
        return found


class FilteredContext:
    """A context without what is ignored."""

    def __init__(self, context: Context, entries: Mapping[str, ContextEntry]) -> None:
        self._context = context
        self._entries = entries

    @property
    def mtime(self) -> int:
        """Seconds since the epoch."""
        return self._context.mtime

    def entries(self) -> Mapping[str, ContextEntry]:
        """What is left."""
        return self._entries

    def read(self, path: str) -> bytes:
        """Contents of a file. Raises KeyError for an ignored one too."""
        return self._context.read(self._entries[path].path)

    def copy_to(self, path: str, descriptor: int) -> None:
        """Write a file's contents to an open one."""
        self._context.copy_to(self._entries[path].path, descriptor)


def filtered(context: Context, dockerfile: str) -> Context:
    """The context as `<dockerfile>.dockerignore`, else `.dockerignore`, leaves it.

    Raises `ContextError` when that is not a text file or a pattern in it is malformed.
    """
    entries = context.entries()
    for name in _names(dockerfile):
        if (entry := entries.get(name)) is not None:
            ignore = _read(name, entry.mode, partial(context.read, name))
            return FilteredContext(context, ignore.kept(entries))
    return context


@dataclass(frozen=True)
class Unseen:
    """What of a directory on disk is left out before it is read.

    The files that a build is directed by stay, with the directories above them: they are
    read, also where they are not to be copied.
    """

    ignore: Ignore
    read: frozenset[str]

    def excludes(self, path: str) -> bool:
        """Whether `path` is left out."""
        return path not in self.read and self.ignore.excludes(path)

    def excludes_whole(self, directory: str) -> bool:
        """Whether a directory is left out with all that is in it."""
        above = any(path.startswith(f"{directory}/") for path in self.read)
        return not above and self.ignore.excludes_whole(directory)


def unseen(directory: Path, dockerfile: str) -> Unseen | None:
    """What the ignore file of a directory leaves out, if it has one.

    Raises `ContextError` as `filtered` does.
    """
    for name in _names(dockerfile):
        path = directory / name
        try:
            mode = path.lstat().st_mode
        except OSError:
            continue
        if stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode):
            read = {*_names(dockerfile), *_links(directory, dockerfile)}
            return Unseen(_read(name, mode, path.read_bytes), frozenset(read))
    return None


def _names(dockerfile: str) -> tuple[str, str]:
    return f"{dockerfile}.dockerignore", ".dockerignore"


def _links(directory: Path, path: str) -> Iterator[str]:
    """A path of a directory, and where it leads if it is a link."""
    path = posixpath.normpath(path)
    for _ in range(MAX_LINKS):
        yield path
        try:
            target = os.fspath((directory / path).readlink())
        except OSError:
            return
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))


def _read(name: str, mode: int, read: Callable[[], bytes]) -> Ignore:
    if not stat.S_ISREG(mode):
        kind = "a symbolic link" if stat.S_ISLNK(mode) else "a directory"
        raise ContextError(f"{name} is {kind}", resolution="Commit it as a file.")
    try:
        return Ignore(read().decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ContextError(f"{name} is not UTF-8 text") from None
    except OSError as error:
        raise ContextError(f"{name} cannot be read: {error.strerror}") from error


def _rule(line: str) -> Rule | None:
    if line.startswith("#"):
        return None
    text = line.strip()
    negated = text.startswith("!")
    pattern = text[1:].strip() if negated else text
    if not pattern:
        return None
    pattern = posixpath.normpath(pattern).lstrip("/")
    if pattern == ".":
        return None
    parts = pattern.split("/")
    lead = tuple(takewhile(lambda part: not _SPECIAL.intersection(part), parts))
    return Rule(negated, compile_glob(pattern), lead, plain=len(lead) == len(parts))


def compile_glob(pattern: str) -> re.Pattern[str]:
    """A pattern of Go's filepath.Match, and `**`, as a regular expression.

    Raises `ContextError` when it is malformed.
    """
    try:
        return re.compile(_regex(pattern), re.DOTALL)
    except re.error as error:
        raise ContextError(f'"{pattern}" is not a valid pattern: {error}') from None


_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[\^?(?:\\.|[^\]\\])+\]|\\.|.", re.DOTALL)


def _regex(pattern: str) -> str:
    return "".join(_token(token) for token in _TOKEN.findall(pattern))


def _token(token: str) -> str:
    if token == "**/":  # noqa: S105  not a password
        return "(?:.*/)?"
    if token in _WILD:
        return _WILD[token]
    if len(token) > 1 and token[0] == "[":
        inner = token[1:-1].replace("[", "\\[").replace("&&", "&\\&").replace("||", "|\\|")
        return f"[{inner}]"
    if token == "[":  # noqa: S105
        raise ContextError('a "[" in a pattern is never closed')
    return re.escape(token[1:] if len(token) == 2 and token[0] == "\\" else token)


_SPECIAL = frozenset("*?[\\")
_WILD = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
