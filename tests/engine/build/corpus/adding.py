"""ADD: archives, and what only looks like one."""

import gzip
import io
import tarfile
from pathlib import Path

from tests.engine.build.corpus.case import FROM, TREE, Case, archive, put


def odd_archives(folder: Path) -> None:
    """A tar of what tars can have, and files that are none."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        put(tar, "./", 0o700, tarfile.DIRTYPE, uid=5, gid=6)
        put(tar, "./x", 0o644, data=b"first")
        put(tar, "./x", 0o600, data=b"second")
        put(tar, "./d/", 0o555, tarfile.DIRTYPE)
        put(tar, "./d/f", 0o644)
        put(tar, "./l", 0o777, tarfile.SYMTYPE, linkname="d")
        put(tar, "./abs", 0o777, tarfile.SYMTYPE, linkname="/etc")
        put(tar, "./h", 0o644, tarfile.LNKTYPE, linkname="./d/f")
        put(tar, f"./{'n' * 150}/{'m' * 120}", 0o644)
        put(tar, "/abs-path", 0o644)
        put(tar, "./fifo", 0o600, tarfile.FIFOTYPE)
        put(tar, "./.hidden", 0o644)
    (folder / "odd.tar").write_bytes(buffer.getvalue())
    (folder / "empty.tar").write_bytes(b"\0" * 10240)
    (folder / "zero.tar").write_bytes(b"")
    (folder / "plain.gz").write_bytes(gzip.compress(b"not a tar", mtime=0))
    (folder / "z.zip").write_bytes(b"PK\x05\x06" + b"\0" * 18)


ARCHIVES = Case(
    "archives",
    FROM
    + """\
ADD plain.tar /plain/
ADD packed.tar.gz /gz
ADD packed.tar.bz2 /bz2/
ADD packed.tar.gz a.txt /mixed/
COPY packed.tar.gz /kept/
ADD a.txt /add/name
ADD not-a.tar.gz /still/
ADD dir /add/dir
ADD --chown=me plain.tar /owned/
ADD --chmod=700 plain.tar /mode/
RUN mkdir -p /t/top && echo keep > /t/top/keep && echo old > /t/top/file && chmod 700 /t
RUN ln -s /old /t/top/dirl && mkdir -m 711 /t/made
ADD plain.tar /t
ADD p*.tar /glob/
WORKDIR /wd
ADD plain.tar .
ADD plain.tar new
""",
    {
        **TREE,
        "plain.tar": archive(""),
        "packed.tar.gz": archive("gz"),
        "packed.tar.bz2": archive("bz2"),
        "not-a.tar.gz": "not an archive\n",
    },
    differs={
        "buildah": dict.fromkeys(
            ("owned/made", "owned/made/for"), "--chown is not for what an archive implies either"
        )
    },
)
XZ = Case("an-archive-of-xz", FROM + "ADD packed.tar.xz /xz/\n", {"packed.tar.xz": archive("xz")})
ODD = Case(
    "odd-archives",
    FROM + "ADD odd.tar /odd/\nADD odd.tar /new\n",
    prepare=odd_archives,
    differs={
        "buildah": dict.fromkeys(
            ("odd", "new"), "the destination is not the archive's, as in BuildKit"
        )
    },
)
NO_ARCHIVES = Case(
    "what-is-no-archive",
    FROM + "ADD empty.tar /e/\nADD zero.tar /z/\nADD plain.gz z.zip /g/\nADD plain.gz /file\n",
    prepare=odd_archives,
)
ROOT = Case(
    "a-root-out-of-an-archive",
    'FROM scratch\nADD packed.tar.gz /\nCOPY a.txt /\nENV A=1\nLABEL a=b\nCMD ["/a"]\nWORKDIR /w\n',
    {**TREE, "packed.tar.gz": archive("gz")},
)

CASES = (ARCHIVES, XZ, ODD, NO_ARCHIVES, ROOT)
