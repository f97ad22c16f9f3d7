"""What a build on this host needs to reach the world: proxies, mirrors, certificates.

Builds behind a corporate proxy work as the host does. All of it is given to RUN steps
only: it is in no image, no history and no cache key.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from paas.engine import mirror
from paas.engine.build.variables import PREDEFINED

DIRECTORY = "/dev/paas-build"
"""Where the files are in a step: /dev is a tmpfs of the runtime, no layer has them."""

CA_FILE = f"{DIRECTORY}/ca.crt"
APT_FILE = f"{DIRECTORY}/apt.conf"

# Programs that do not ask OpenSSL's default directory, each with a variable of its own.
_CA_VARIABLES = (
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
)
_MIRROR_VARIABLES = frozenset(
    {
        "GOPROXY",
        "GONOSUMDB",
        "NPM_CONFIG_REGISTRY",
        "PIP_DEFAULT_TIMEOUT",
        "PIP_EXTRA_INDEX_URL",
        "PIP_INDEX_URL",
        "PIP_TRUSTED_HOST",
        "UV_DEFAULT_INDEX",
    }
)
_PIP_SETTINGS = {
    "index-url": "PIP_INDEX_URL",
    "extra-index-url": "PIP_EXTRA_INDEX_URL",
    "trusted-host": "PIP_TRUSTED_HOST",
    "timeout": "PIP_DEFAULT_TIMEOUT",
}
_LOCAL_URL = re.compile(r"file:|/")
_CERTIFICATE_OPTION = re.compile(r"Acquire::https?::(.*::)?(CA|Ssl|Verify)", re.IGNORECASE)


@dataclass(frozen=True)
class BuildHost:
    """What RUN steps are given by the host.

    `ca_bundle` is a file of certificates on the host, `apt` text for an apt.conf.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    ca_bundle: Path | None = None
    apt: str = ""

    @property
    def variables(self) -> dict[str, str]:
        """The environment, with the places of the files in a step."""
        found = dict(self.env)
        if self.ca_bundle is not None:
            found |= dict.fromkeys(_CA_VARIABLES, CA_FILE)
        if self.apt_options:
            found["APT_CONFIG"] = APT_FILE
        return found

    @property
    def apt_options(self) -> str:
        """The host's options, those naming files of the host replaced by ours."""
        lines = [line for line in self.apt.splitlines() if not _CERTIFICATE_OPTION.match(line)]
        if self.ca_bundle is not None:
            lines.append(f'Acquire::https::CAInfo "{CA_FILE}";')
        return "".join(f"{line}\n" for line in lines)


def this_host(
    environ: Mapping[str, str], root: Path = Path("/"), *, apt: str | None = None
) -> BuildHost:
    """The settings of this host: /etc/environment, pip's, npm's and apt's, then `environ`.

    `apt` is what apt-config(8) says of it, asked if it is not given.
    """
    inherited = {**_environment_file(root / "etc/environment"), **environ}
    wanted = PREDEFINED | _MIRROR_VARIABLES
    env = {
        **_pip([root / "etc/xdg/pip/pip.conf", root / "etc/pip.conf"]),
        **_npm(root / "usr/etc/npmrc"),
        **_npm(root / "etc/npmrc"),
        **{name: value for name, value in inherited.items() if name in wanted},
    }
    # A mirror in a directory of the host is not there in a container.
    reachable = {name: value for name, value in env.items() if not _LOCAL_URL.match(value)}
    options = mirror.host_options() if apt is None else apt
    return BuildHost(reachable, _ca_bundle(inherited, root), options)


def _ca_bundle(environ: Mapping[str, str], root: Path) -> Path | None:
    """The host's certificates, if it was given any that others do not have."""
    added = root / "usr/local/share/ca-certificates"
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    if added.is_dir() and any(added.rglob("*.crt")) and bundle.is_file():
        return bundle
    named = environ.get("SSL_CERT_FILE")
    return Path(named) if named and Path(named).is_file() else None


def _environment_file(path: Path) -> dict[str, str]:
    """NAME=value lines as pam_env(8) reads them."""
    found: dict[str, str] = {}
    if path.is_file():
        for line in path.read_text("utf-8", "replace").splitlines():
            name, equals, value = line.strip().removeprefix("export ").partition("=")
            if equals and not name.startswith("#"):
                found[name.strip()] = value.strip().strip("'\"")
    return found


def _pip(paths: Sequence[Path]) -> dict[str, str]:
    """pip's global settings that are URLs, hosts and times; of several files the last."""
    parser = configparser.RawConfigParser()
    try:
        parser.read(paths)
    except configparser.Error:
        return {}
    found: dict[str, str] = {}
    for setting, variable in _PIP_SETTINGS.items():
        value = parser.get("global", setting, fallback="")
        words = [word for word in value.split() if not _LOCAL_URL.match(word)]
        if words:
            found[variable] = " ".join(words)
    return found


def _npm(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    for line in path.read_text("utf-8", "replace").splitlines():
        name, equals, value = line.partition("=")
        if equals and name.strip() == "registry":
            return {"NPM_CONFIG_REGISTRY": value.strip()}
    return {}
