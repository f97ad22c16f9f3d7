"""How fast a layer is unpacked, beside plain `tar -x` of the same archive on the same disk.

Ours inflates, hashes, checks and converts; tar only writes. Each round does both, one
after the other, and a ratio is of one round: what else the machine does hits both.
"""

from __future__ import annotations

import gzip
import io
import os
import random
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

from paas.daemon.services import STACK
from paas.engine.unpack import unpack
from tests.bench.figures import Row, row, seconds
from tests.push.disk import GIB, disk
from tests.push.server import Server

TITLE = "unpacking a layer: the share of the speed of plain tar -x"
ROUNDS = 7
SPACE = 60 * GIB
"""Three million files of them: the file system has one for each 16 KiB."""
SHAPES = {"100,000 files of 0.7 kB": (100_000, 700), "6,000 files of 40 kB": (6_000, 40_000)}
TARGET = 1 / 0.8
"""Times as long as tar: 80 % of its speed."""


def measure(server: Server) -> Sequence[Row]:
    """Plain and gzip layers: the one that all apps here have, and two extremes."""
    layers: dict[str, Callable[[Path], object]] = {
        "the stack": lambda to: to.write_bytes(server.paas("images:export", STACK).ok().stdout),
    }
    for shape, (files, size) in SHAPES.items():
        layers[shape] = lambda to, files=files, size=size: make_archive(to, files, size)
    rows: list[Row] = []
    for shape, make in layers.items():
        # As mkfs makes it for everybody, whatever the disk below has; and gone as a whole.
        with disk(SPACE) as drive:
            plain, packed = drive.mounted / "layer.tar", drive.mounted / "layer.tar.gz"
            make(plain)
            packed.write_bytes(gzip.compress(plain.read_bytes(), 6))
            for blob in (plain, packed):
                rows += compare(f"{shape}, {blob.suffix[1:]}", blob, drive.mounted)
    return rows


def compare(name: str, blob: Path, folder: Path) -> list[Row]:
    """Both, in turns, into directories of the same disk."""
    ours, tars = [], []
    for number in range(ROUNDS):
        tars.append(into(folder / f"{blob.name}-tar-{number}", lambda to: tar(blob, to)))
        ours.append(into(folder / f"{blob.name}-ours-{number}", lambda to: unpack(blob, to)))
    ratios = [one / other for one, other in zip(ours, tars, strict=True)]
    return [
        row(f"{name}: tar -x", tars),
        row(f"{name}: ours", ours),
        row(f"{name}: ours / tar", ratios, unit="x", target=TARGET),
    ]


def into(target: Path, act: Callable[[Path], object]) -> float:
    """Seconds that `act` takes to fill an empty directory, with nothing else left to write."""
    target.mkdir()
    os.sync()
    return seconds(lambda: act(target))


def tar(blob: Path, target: Path) -> None:
    subprocess.run(["tar", "-xf", blob, "-C", target], check=True)


def make_archive(path: Path, files: int, size: int) -> None:
    """Files whose content compresses as programs do, a hundred in a directory."""
    chance = random.Random(1)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for number in range(files):
            if number % 100 == 0:
                folder = tarfile.TarInfo(f"usr/lib/part{number // 100}")
                folder.type, folder.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(folder)
            info = tarfile.TarInfo(f"usr/lib/part{number // 100}/file{number}.py")
            info.size, info.mtime = chance.randrange(2 * size), 1_000_000
            content = chance.randbytes(64) * (info.size // 64 + 1)
            archive.addfile(info, io.BytesIO(content))
