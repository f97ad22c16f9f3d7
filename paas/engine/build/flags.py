"""The `--flags` of an instruction, and names that were probably meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from paas.engine.build.parse import Node

MAX_DISTANCE = 2
"""Typing errors between a word and what it is taken for, as BuildKit has it."""


class Flags:
    """The flags of one instruction, checked against those it may have.

    `known` maps a name to its kind: `text` (once), `bool` (once; alone it means true) or
    `list` (any number of times).
    """

    def __init__(self, node: Node, known: Mapping[str, str]) -> None:
        """Raises `DockerfileError` for an unknown or doubled flag, or one without value."""
        self._node = node
        self._found: dict[str, list[str]] = {}
        for flag in node.flags:
            name, equals, value = flag.removeprefix("--").partition("=")
            self._add(name, value if equals else None, known)

    def _add(self, name: str, value: str | None, known: Mapping[str, str]) -> None:
        error = self._node.at.error
        kind = known.get(name)
        if kind is None:
            raise error(f"unknown flag: --{name}{did_you_mean(name, known, '--')}")
        if name in self._found and kind != "list":
            raise error(f"duplicate flag specified: {name}")
        if kind == "bool":
            value = "true" if value is None else value.lower()
            if value not in ("true", "false"):
                raise error(f"expecting boolean value for flag {name}, not: {value}")
        elif value is None:
            raise error(f"missing a value on flag: {name}")
        self._found.setdefault(name, []).append(value)

    def text(self, name: str) -> str | None:
        """The value of a flag, None if it was not given."""
        return self._found[name][0] if name in self._found else None

    def true(self, name: str) -> bool:
        return self._found.get(name) == ["true"]

    def many(self, name: str) -> tuple[str, ...]:
        return tuple(self._found.get(name, ()))


def did_you_mean(word: str, known: Iterable[str], prefix: str = "") -> str:
    """` (did you mean X?)`, or nothing when no known word is near."""
    word = word.lower()
    near = [
        # Of two equally near ones, the one with the same letters is meant.
        (distance(word, name.lower()), sorted(word) != sorted(name.lower()), name)
        for name in known
    ]
    best = min(near, default=(MAX_DISTANCE + 1, True, ""))
    return f" (did you mean {prefix}{best[2]}?)" if best[0] <= MAX_DISTANCE else ""


def distance(one: str, other: str) -> int:
    """Levenshtein's distance: insertions, deletions and substitutions."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        previous, row[0] = row[0], i
        for j, right in enumerate(other, 1):
            cost = min(row[j] + 1, row[j - 1] + 1, previous + (left != right))
            previous, row[j] = row[j], cost
    return row[-1]
