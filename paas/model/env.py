"""Values of an app's environment, which are secrets until proven otherwise."""

from __future__ import annotations

from collections.abc import Mapping

from paas.errors import PaasError

MAX_VALUE_BYTES = 1024 * 1024

MAX_ENVIRONMENT_STRING = 128 * 1024
"""Bytes of one `KEY=value` and its NUL that execve(2) takes: MAX_ARG_STRLEN, 32 pages.

A larger value is kept and shown, but the kernel can give it to no process as a variable.
"""


class InvalidValue(PaasError):
    """A config value that no environment can hold."""


class Secret:
    """A string that does not show itself: neither in logs, tracebacks nor f-strings."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "[REDACTED]"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


def parse_value(key: str, text: str) -> str:
    """`text` if it can be the value of `key`. Raises `InvalidValue`."""
    if "\0" in text:
        raise InvalidValue(
            f"The value of {key} has a NUL byte, which an environment cannot hold",
            resolution="Set it encoded, for example in base64, and decode it in the app.",
        )
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidValue(
            f"The value of {key} is not UTF-8 text",
            resolution="Set it encoded, for example in base64, and decode it in the app.",
        ) from None
    if size > MAX_VALUE_BYTES:
        raise InvalidValue(
            f"The value of {key} is {size} bytes, the limit is {MAX_VALUE_BYTES}",
            resolution="Ship it as a file in the image or on a volume.",
        )
    return text


def fits_environment(key: str, value: Secret) -> bool:
    """Whether execve(2) takes the variable (see `MAX_ENVIRONMENT_STRING`)."""
    return len(f"{key}={value.reveal()}".encode()) < MAX_ENVIRONMENT_STRING


def revealed(values: Mapping[str, Secret]) -> dict[str, str]:
    """The plain strings, for those who write an environment or a release row."""
    return {key: value.reveal() for key, value in values.items()}


def secrets(values: Mapping[str, str]) -> dict[str, Secret]:
    """Plain strings, wrapped."""
    return {key: Secret(value) for key, value in values.items()}
