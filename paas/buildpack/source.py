"""Where a buildpack comes from: the name of a bundled one, or `URL#ref` of a git repository.

Forms of Heroku's and Dokku's users: `python`, `heroku/python`, `urn:buildpack:heroku/python`,
`https://github.com/heroku/heroku-buildpack-nodejs#v250`, `git@example.org:own/pack.git`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from paas.errors import PaasError
from paas.model.names import shown

BUNDLED = {
    "ruby": "Gemfile",
    "node": "package.json",
    "java": "pom.xml, mvnw, build.gradle or gradlew",
    "python": "requirements.txt, uv.lock, poetry.lock, Pipfile.lock or pyproject.toml",
    "php": "composer.json or index.php",
    "go": "go.mod",
    "static": "index.html or static.json",
    "apt": "Aptfile",
}
"""Name and what it is found by, for people, in the order in which they are asked: Heroku's."""

ALIASES = {
    "gradle": "java",
    "maven": "java",
    "nginx": "static",
    "nodejs": "node",
}
"""Names by which repositories know the same languages elsewhere."""

_PUBLISHER = re.compile(r"(urn:buildpack:)?(heroku|heroku-community|paas)/")
_SSH = re.compile(r"(?:[\w.-]+@)?[\w.-]+:(?!//)[\w./~-]+")
_URL = re.compile(r"(?:https?|ssh|git\+ssh)://[!-~]+")
MAX_URL = 1024
_REF = re.compile(r"(?!-)[\w./+-]{1,200}")


class InvalidBuildpackName(PaasError):
    """Neither the name of a bundled buildpack nor a git URL."""


@dataclass(frozen=True)
class GitSource:
    """A git repository; `ref` is a branch, a tag or a commit, None its HEAD."""

    url: str
    ref: str | None = None

    @property
    def slug(self) -> str:
        """A name for a folder: of its last part, and unlike that of any other source."""
        last = re.split(r"[/:]", self.url.rstrip("/").removesuffix(".git"))[-1]
        digest = hashlib.sha256(f"{self.url}#{self.ref}".encode()).hexdigest()[:8]
        return f"{re.sub(r'[^a-z0-9]+', '-', last.lower())[:40].strip('-')}-{digest}"

    def __str__(self) -> str:
        """As it was written, less the password in it, or the token that is one (over http)."""
        url = re.sub(
            r"(?<=://)[^/@]*:[^/]*@|(?<=^http://)[^/]*@|(?<=^https://)[^/]*@", "", self.url
        )
        return url if self.ref is None else f"{url}#{self.ref}"


def parse_source(text: str) -> str | GitSource:
    """The name of a bundled buildpack, or a repository. Raises `InvalidBuildpackName`."""
    name = _PUBLISHER.sub("", text, count=1)
    name = ALIASES.get(name, name)
    if name in BUNDLED:
        return name
    return parse_git(text)


def parse_git(text: str) -> GitSource:
    """`URL#ref`, over http(s) or ssh. Raises `InvalidBuildpackName`."""
    url, _, ref = text.partition("#")
    if len(url) > MAX_URL or not (_URL.fullmatch(url) or _SSH.fullmatch(url)):
        raise InvalidBuildpackName(
            f"{shown(text)} is neither a bundled buildpack nor the URL of a git repository",
            resolution=f"Bundled are {', '.join(BUNDLED)}; URLs begin with https:// or ssh://.",
        )
    if ref and (not _REF.fullmatch(ref) or ".." in ref):
        raise InvalidBuildpackName(f"{shown(ref)} is not a branch, a tag or a commit")
    return GitSource(url, ref or None)
