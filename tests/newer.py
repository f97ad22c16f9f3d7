"""Programs of Debian 13, for what those of an older release cannot do yet.

With lists of its own: the machine's apt keeps its release, and nothing is installed.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from paas.host.files import FileLock

MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def newer(package: str, program: str) -> Path:
    """The program at this path of a package, which finds its own libraries.

    It comes from the mirror once, with all that it needs.
    """
    cache = Path(os.environ.get("PAAS_TEST_CACHE", "/var/cache/paas-test"))
    folder = cache / f"trixie-{package}"
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                _unpacked(Path(scratch), package, folder, program)
    return folder / program


def _unpacked(scratch: Path, package: str, folder: Path, program: str) -> None:
    for part in ("lists/partial", "cache/archives/partial", "root"):
        (scratch / part).mkdir(parents=True)
    (scratch / "status").touch()
    sources = scratch / "sources.list"
    sources.write_text(f"deb [signed-by={KEYRING}] {MIRROR} trixie main\n")
    apt = [
        "apt-get", "-qq", "-y", "--no-install-recommends", "--download-only",
        "-o", f"Dir::Etc::SourceList={sources}", "-o", "Dir::Etc::SourceParts=/dev/null",
        "-o", f"Dir::State::Lists={scratch}/lists", "-o", f"Dir::Cache={scratch}/cache",
        "-o", f"Dir::State::status={scratch}/status",
    ]  # fmt: skip
    for words in (["update"], ["install", package]):
        subprocess.run([*apt, *words], check=True, capture_output=True)
    for archive in (scratch / "cache/archives").glob("*.deb"):
        subprocess.run(["dpkg", "-x", archive, scratch / "root"], check=True)
    (scratch / "root").chmod(0o755)
    _bound(scratch / "root", folder, program)
    (scratch / "root").rename(folder)


def _bound(unpacked: Path, folder: Path, program: str) -> None:
    """Have a dynamic program use the loader and libraries beside it, in their final place."""
    file = unpacked / program
    asked = subprocess.run(
        ["patchelf", "--print-interpreter", file], capture_output=True, text=True, check=False
    )
    if asked.returncode != 0:
        return  # a static one needs neither
    loader = folder / "usr" / Path(asked.stdout.strip()).relative_to("/")
    triplet = next(unpacked.glob("usr/lib/*-linux-gnu*")).relative_to(unpacked)
    subprocess.run(
        ["patchelf", "--set-interpreter", loader, "--force-rpath", "--set-rpath",
         folder / triplet, file],
        check=True,
    )  # fmt: skip
