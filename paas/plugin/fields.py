"""Reading a TOML document field by field, each checked and each error with its place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from paas.model.limits import MIB

_MISSING = object()
_UNITS = {"m": MIB, "g": 1024 * MIB}


class Fields:
    """One table of a document. Every method raises `ValueError` with the file and field."""

    def __init__(self, values: Mapping[str, object], place: str, *, inner: bool = False) -> None:
        """`place` is the file's name for messages, or the file and the table in it."""
        self._values = values
        self._place = place + ("." if inner else ": ")
        self._seen: set[str] = set()

    def error(self, key: str, what: str) -> ValueError:
        """An error about one field, to raise."""
        return ValueError(f"{self._place}{key} {what}")

    def table(self, key: str) -> Fields:
        """A table in this one; an empty one when it is not there."""
        value = self._get(key, {})
        if not isinstance(value, Mapping):
            raise self.error(key, "must be a table")
        return Fields(value, f"{self._place}{key}", inner=True)

    def tables(self, key: str) -> Sequence[Fields]:
        """An array of tables."""
        value = self._get(key, [])
        if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
            raise self.error(key, "must be an array of tables")
        return [
            Fields(each, f"{self._place}{key}[{number}]", inner=True)
            for number, each in enumerate(value)
        ]

    def text(
        self, key: str, *, default: str | None = None, pattern: re.Pattern[str] | None = None
    ) -> str:
        """A string, which `pattern` matches as a whole."""
        value = self._get(key, _MISSING if default is None else default)
        if not isinstance(value, str) or "\0" in value:
            raise self.error(key, "must be a text")
        if pattern is not None and not pattern.fullmatch(value):
            raise self.error(key, f"cannot be {value!r}: it must match {pattern.pattern}")
        return value

    def number(self, key: str, low: int, high: int, *, default: int | None = None) -> int:
        """A whole number from `low` to `high`."""
        value = self._get(key, _MISSING if default is None else default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.error(key, f"must be a whole number from {low} to {high}")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, "must be true or false")
        return value

    def choice(self, key: str, choices: Sequence[str]) -> str:
        """A string that is one of `choices`."""
        value = self.text(key)
        if value not in choices:
            raise self.error(key, f"cannot be {value!r}: it is one of {', '.join(choices)}")
        return value

    def words(
        self,
        key: str,
        *,
        default: tuple[str, ...] | None = None,
        pattern: re.Pattern[str] | None = None,
    ) -> tuple[str, ...]:
        """A list of strings, each of which `pattern` matches; without a default at least one."""
        value = self._get(key, _MISSING if default is None else list(default))
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise self.error(key, "must be a list of texts")
        if default is None and not value:
            raise self.error(key, "must not be empty")
        for each in value:
            if pattern is not None and not pattern.fullmatch(each):
                raise self.error(key, f"cannot have {each!r}: it must match {pattern.pattern}")
        return tuple(value)

    def memory(self, key: str, *, default: int) -> int:
        """Bytes, written like `512m` or `2g`."""
        text = self.text(key, default=f"{default // MIB}m")
        if not re.fullmatch(r"[0-9]{1,6}[mg]", text):
            raise self.error(key, f"cannot be {text!r}: write it like 512m or 2g")
        return int(text[:-1]) * _UNITS[text[-1]]

    def keys_of(self, pattern: str) -> Sequence[str]:
        """The keys of this table, each of which `pattern` matches."""
        for key in self._values:
            if not re.fullmatch(pattern, key):
                raise self.error(key, "cannot be a key here")
        return list(self._values)

    def skip(self, *keys: str) -> None:
        """Leave fields of this table to whoever else reads the document."""
        self._seen.update(keys)

    def skip_all(self) -> None:
        """Leave all of it to whoever else reads the document."""
        self._seen.update(self._values)

    def has(self, key: str) -> bool:
        """Whether the field is there."""
        return key in self._values

    def finish(self) -> None:
        """Refuse what nobody asked for: a misspelled field is not left out silently."""
        unknown = sorted(set(self._values) - self._seen)
        if unknown:
            raise self.error(unknown[0], f"is not known; there are {', '.join(sorted(self._seen))}")

    def _get(self, key: str, default: object) -> object:
        self._seen.add(key)
        value = self._values.get(key, default)
        if value is _MISSING:
            raise self.error(key, "is missing")
        return value
