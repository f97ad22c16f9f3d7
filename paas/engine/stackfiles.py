"""What differs between a freshly bootstrapped Debian and an image of it."""

from __future__ import annotations

from pathlib import Path

from paas.host import files

APT = """\
Acquire::Languages "none";
APT::Install-Recommends "false";
"""

APT_ONCE = """\
Dpkg::Use-Pty "0";
"""

# Images are committed after each step: caches would stay in the layer (unless they are
# mounted, which a file `keep` says), recommended packages and package-list translations are
# seldom what a Dockerfile means. What apt has read of its lists it writes down until it has
# installed something: reading them anew, a second each, is what dpkg-preconfigure and a second
# apt-get of the same step would do.
_APT_IN_IMAGES = """\
Acquire::Languages "none";
Acquire::GzipIndexes "true";
APT::AutoRemove::SuggestsImportant "false";
Dir::Cache::srcpkgcache "";
DPkg::Post-Invoke {
  "[ -e /var/cache/apt/archives/keep ] || rm -f /var/cache/apt/archives/*.deb || true";
  "rm -f /var/cache/apt/*.bin || true";
};
"""

# The licences stay: they must accompany what is redistributed.
DPKG = """\
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*/LC_MESSAGES/*.mo
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
force-unsafe-io
"""

# Builds have no terminal: debconf would say so at length before it asks nobody anyway.
# A hook of mmdebstrap's; $1 is the root.
ASK_NOBODY = (
    'echo debconf debconf/frontend select Noninteractive | chroot "$1" debconf-set-selections'
)

# For what reads it without asking whether it is there, such as Heroku's apt buildpack.
_OLD_SOURCES = "# The sources are in sources.list.d/debian.sources\n"

_SOURCES = """\
Types: deb
URIs: http://deb.debian.org/debian
Suites: {suite} {suite}-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://deb.debian.org/debian-security
Suites: {suite}-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""

# Packages that bring a daemon do not start it while an image is made (deb-systemd-invoke).
_POLICY = "#!/bin/sh\nexit 101\n"

_LEFT_BY_BOOTSTRAP = (
    "etc/apt/sources.list",
    "etc/apt/apt.conf.d/99mmdebstrap",
    "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
    "var/cache/debconf/config.dat-old",
    "var/cache/debconf/templates.dat-old",
    "var/lib/dpkg/status-old",
    "var/lib/dpkg/diversions-old",
)

_EMPTIED = ("dev", "run", "tmp", "var/log", "var/lib/apt/lists", "var/cache/apt")


def settle(root: Path, suite: str) -> None:
    """Make a bootstrapped root an image's: nothing of this host, no caches, Debian's mirror."""
    for name in _LEFT_BY_BOOTSTRAP:
        (root / name).unlink(missing_ok=True)
    for name in _EMPTIED:
        for entry in (root / name).iterdir():
            files.remove_tree(entry)
    (root / "var/lib/apt/lists/partial").mkdir(mode=0o700)
    (root / "var/cache/apt/archives/partial").mkdir(parents=True)
    # Mounted over in every container; they must exist, and hold the name of no host.
    for name in ("etc/resolv.conf", "etc/hostname", "etc/hosts", "etc/machine-id"):
        _write(root / name, "")
    _write(root / "etc/apt/sources.list", _OLD_SOURCES)
    _write(root / "etc/apt/sources.list.d/debian.sources", _SOURCES.format(suite=suite))
    _write(root / "etc/apt/apt.conf.d/90paas-image", _APT_IN_IMAGES)
    _write(root / "etc/dpkg/dpkg.cfg.d/90paas-image", DPKG)
    _write(root / "usr/sbin/policy-rc.d", _POLICY, 0o755)


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.unlink(missing_ok=True)
    path.write_text(text, "utf-8")
    path.chmod(mode)
