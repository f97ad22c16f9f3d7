""".dockerignore: what of the context a build does not see.

Patterns are Go's filepath.Match with `**`, the last one that matches decides, `!` makes
an exception, and a directory that matches takes along what is in it (Docker's reference,
".dockerignore file", and moby's patternmatcher).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from paas.engine.build.context import Context, ContextEntry
from paas.engine.build.errors import ContextError


class Ignore:
    """The patterns of one file."""

    def __init__(self, text: str) -> None:
        """Raises `ContextError` for a pattern that is malformed."""
        self._rules = [rule for line in text.splitlines() if (rule := _rule(line))]

    def excludes(self, path: str) -> bool:
        """Whether `path` is left out; every parent of it is asked too."""
        prefixes = [path[: match.start()] for match in re.finditer("/", path)] + [path]
        excluded = False
        for negated, pattern in self._rules:
            if negated == excluded and any(pattern.fullmatch(prefix) for prefix in prefixes):
                excluded = not negated
        return excluded

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
    for name in (f"{dockerfile}.dockerignore", ".dockerignore"):
        entry = entries.get(name)
        if entry is None:
            continue
        if entry.target is not None:
            raise ContextError(f"{name} is a symbolic link", resolution="Commit it as a file.")
        try:
            text = context.read(name).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise ContextError(f"{name} is not UTF-8 text") from None
        return FilteredContext(context, Ignore(text).kept(entries))
    return context


def _rule(line: str) -> tuple[bool, re.Pattern[str]] | None:
    if line.startswith("#"):
        return None
    text = line.strip()
    negated = text.startswith("!")
    pattern = text[1:].strip() if negated else text
    if not pattern:
        return None
    pattern = posixpath.normpath(pattern).lstrip("/")
    return (negated, compile_glob(pattern)) if pattern != "." else None


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


_WILD = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
