"""Names the user gives: apps, domains, process types, config keys.

Parsed once at the edge. What passes here is safe as a path component, a DNS label and a
command-line word; nothing further down checks it again.
"""

from __future__ import annotations

import re

from paas.errors import PaasError
from paas.model.idn import to_ascii

APP_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""A DNS label (RFC 1123, section 2.1), since the app is served at `<app>.<domain>`."""

DOMAIN_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
PROCESS_TYPE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}")
CONFIG_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""A POSIX environment variable name (IEEE 1003.1, section 8.1), lower case allowed."""

KEY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,62}")

MAX_BRANCH_BYTES = 250
"""With `.lock` behind it a file name yet (NAME_MAX)."""

_NOT_IN_BRANCH = re.compile(r"[ ~^:?*\[\\]|\.\.|@\{")

MAX_SHOWN = 40


class InvalidName(PaasError):
    """A name that cannot be one."""


def parse_app_name(text: str) -> str:
    """`text` if it can name an app. Raises `InvalidName`, which says what is wrong."""
    if APP_NAME.fullmatch(text):
        return text
    raise InvalidName(
        f"App name {shown(text)} {_app_name_fault(text)}",
        resolution="Use 1 to 63 lower case letters, digits and dashes.",
    )


def parse_domain(text: str) -> str:
    """`text` in lower case and ASCII if it is a host name, or `*.` before one.

    Raises `InvalidName`.
    """
    name = text.lower().removesuffix(".")
    if not name.isascii():
        wildcard = "*." if name.startswith("*.") else ""
        name = wildcard + (to_ascii(name.removeprefix("*.")) or "")
    labels = name.removeprefix("*.").split(".")
    # A name of digits alone is an address, or taken for one (WHATWG URL, "ends in a number").
    if (
        len(name) <= 253
        and all(DOMAIN_LABEL.fullmatch(label) for label in labels)
        and not labels[-1].isdecimal()
    ):
        return name
    raise InvalidName(
        f"{shown(text)} is not a domain name",
        resolution="Write it like www.example.com, without scheme, port or path.",
    )


def parse_process_type(text: str) -> str:
    """`text` if it can name a process type. Raises `InvalidName`."""
    if PROCESS_TYPE.fullmatch(text):
        return text
    raise InvalidName(
        f"{shown(text)} is not a process type",
        resolution="Use 1 to 63 letters, digits, dashes and underscores, like web or worker.",
    )


def parse_config_key(text: str) -> str:
    """`text` if it can name an environment variable. Raises `InvalidName`."""
    if CONFIG_KEY.fullmatch(text):
        return text
    raise InvalidName(
        f"{shown(text)} is not a name for a config variable",
        resolution="Use letters, digits and underscores, not beginning with a digit.",
    )


def parse_key_name(text: str) -> str:
    """`text` if it can name an SSH key. Raises `InvalidName`."""
    if KEY_NAME.fullmatch(text):
        return text
    raise InvalidName(
        f"{shown(text)} is not a name for a key",
        resolution="Use 1 to 63 letters, digits and any of . _ - @, like ann@laptop.",
    )


def parse_branch(text: str) -> str:
    """`text` if git takes it for the name of a branch, and a terminal shows it.

    Source: git-check-ref-format(1), with `--branch`. Raises `InvalidName`.
    """
    parts = text.split("/")
    if (
        text.isprintable()
        and len(text.encode()) <= MAX_BRANCH_BYTES
        and text not in {"@", "HEAD"}
        and not text.startswith(("-", "refs/heads/"))
        and not text.endswith(".")
        and not _NOT_IN_BRANCH.search(text)
        and all(part and part[0] != "." and not part.endswith(".lock") for part in parts)
    ):
        return text
    raise InvalidName(
        f"{shown(text)} is not a branch name",
        resolution="Write it as `git branch` does, like main or team/main.",
    )


def shown(text: str) -> str:
    """`text` quoted for a message: one line, no control characters, not endless."""
    short = text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."
    return ascii(short) if not short.isprintable() else f"'{short}'"


def _app_name_fault(text: str) -> str:
    if not text:
        return "is empty"
    if len(text) > 63:
        return f"is {len(text)} characters long"
    if re.search(r"[A-Z]", text):
        return "has upper case letters"
    if text.startswith("-"):
        return "begins with a dash"
    if re.fullmatch(r"[a-z0-9-]+", text):
        return "ends with a dash"
    return "has characters that are not allowed"
