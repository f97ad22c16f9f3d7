"""Names of images, normalised as Docker does it (distribution/reference, grammar.md).

`python:3.13` is `docker.io/library/python:3.13`. Names below `paas/` are this server's
own: they have no registry, and nothing under them is ever pulled or pushed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from paas.errors import PaasError

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
LOCAL = "paas/"
MAX_NAME = 255

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")
_ID = re.compile(r"sha256:[a-f0-9]{64}")


class InvalidReference(PaasError):
    """A text is not the name of an image."""


@dataclass(frozen=True)
class Reference:
    """`domain/path:tag@digest`; the domain of a local name is empty."""

    domain: str
    path: str
    tag: str | None
    digest: str | None = None

    @property
    def local(self) -> bool:
        """Whether it names an image of this server that no registry has."""
        return not self.domain

    @property
    def name(self) -> str:
        """Without tag and digest."""
        return f"{self.domain}/{self.path}" if self.domain else self.path

    @property
    def familiar(self) -> str:
        """As people write it: without `docker.io/library/`."""
        name = self.name.removeprefix(f"{DEFAULT_DOMAIN}/").removeprefix("library/")
        return str(replace(self, domain="", path=name))

    @property
    def pullable(self) -> str:
        """What a registry is asked for: never both a tag and a digest."""
        return str(replace(self, tag=None)) if self.digest else str(self)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


def is_image_id(text: str) -> bool:
    """Whether `text` is a whole image id."""
    return _ID.fullmatch(text) is not None


def parse_reference(text: str) -> Reference:
    """Normalise the name of an image; without tag and digest the tag is `latest`.

    Raises `InvalidReference`.
    """
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise _invalid(text, "what follows @ is not a digest such as sha256:<64 hex digits>")
    head, _, last = rest.rpartition("/")
    last, colon, tag = last.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise _invalid(text, "the tag may have letters, digits, _, . and -, at most 128")
    name = f"{head}/{last}" if head else last
    domain, path = _split_domain(name)
    if not _PATH.fullmatch(path):
        hint = "it must be lower case" if path != path.lower() else "its path is malformed"
        raise _invalid(text, hint)
    if domain and not _DOMAIN.fullmatch(domain):
        raise _invalid(text, f"{domain!r} is not the address of a registry")
    if len(name) > MAX_NAME:
        raise _invalid(text, f"it is longer than {MAX_NAME} characters")
    return Reference(domain, path, tag or (None if digest else DEFAULT_TAG), digest or None)


def _split_domain(name: str) -> tuple[str, str]:
    if name.startswith(LOCAL):
        return "", name
    first, slash, path = name.partition("/")
    names_host = "." in first or ":" in first or first == "localhost" or first != first.lower()
    if not slash or not names_host:
        return DEFAULT_DOMAIN, name if slash else f"library/{name}"
    if first in (DEFAULT_DOMAIN, "index.docker.io"):
        return DEFAULT_DOMAIN, path if "/" in path else f"library/{path}"
    return first, path


def _invalid(text: str, why: str) -> InvalidReference:
    return InvalidReference(
        f"{text!r} is not the name of an image: {why}",
        resolution="Write it as [registry/]name[:tag], for example python:3.13-slim.",
    )
