"""Unpacking layers: hostile and broken archives, then the semantics, then there and back."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import stat
import struct
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paas.engine.members import Limits
from paas.engine.pack import pack
from paas.engine.unpack import LayerRefused, Unpacked, unpack
from paas.host.processes import run

CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)

Entry = tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda data: run(["zstd", "-q"], input=data).stdout,
    "gzip-members": lambda data: (
        gzip.compress(data[:1000]) + gzip.compress(data[1000:]) + bytes(512)
    ),
}


def entry(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def archive(*entries: Entry) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for item in entries:
            info, content = item if isinstance(item, tuple) else (item, b"")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Box:
    """A place to unpack into, beside something that must not be touched."""

    def __init__(self, folder: Path) -> None:
        self.target = folder / "target"
        self.target.mkdir()
        self.outside = folder / "outside"
        self.outside.mkdir()
        (self.outside / "kept").write_text("kept")
        self.blob = folder / "blob.tar"

    def unpack(
        self, data: bytes, *, diff_id: str | None = None, limits: Limits | None = None
    ) -> Unpacked:
        self.blob.write_bytes(data)
        return unpack(self.blob, self.target, diff_id=diff_id, limits=limits)

    def path(self, name: str) -> Path:
        return self.target / name


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([entry("../outside/kept")], "climbs"),
        ([entry("a/../../outside/kept")], "climbs"),
        ([entry("/../outside/kept")], "climbs"),
        ([entry("link", tarfile.LNKTYPE, linkname="../outside/kept")], "climbs"),
        ([entry("link", tarfile.LNKTYPE, linkname="/etc/shadow")], "which the layer lacks"),
        ([entry("d", tarfile.DIRTYPE), entry("l", tarfile.LNKTYPE, linkname="d")], "no file"),
        ([entry("file"), entry("file/below")], "no directory"),
        ([entry("dir/.wh.")], "hides nothing"),
        ([entry(".wh...")], "hides nothing"),
        ([entry("odd", b"Z")], "unknown type|malformed"),
        ([entry("x" * 256)], "File name too long"),
        ([entry("d/" * 2100 + "x")], "longer than"),
        ([entry("link", tarfile.LNKTYPE, linkname="d/" * 2100)], "longer than"),
        ([entry("file", pax_headers={"comment": "x" * (1 << 20)})], "headers are longer"),
    ],
)
def test_hostile_entries_are_refused(box: Box, entries: list[Entry], why: str) -> None:
    with pytest.raises(LayerRefused, match=why):
        box.unpack(archive(*entries))
    assert (box.outside / "kept").read_text() == "kept"
    assert names(box.outside) == ["kept"]


@pytest.mark.parametrize("target", ["../outside", "/../outside", "{outside}"])
def test_a_symlink_leads_nowhere_else(box: Box, target: str) -> None:
    """The child's root is the layer: an absolute or climbing link ends within it."""
    link = entry("link", tarfile.SYMTYPE, linkname=target.format(outside=box.outside))
    try:
        box.unpack(archive(link, (entry("link/kept"), b"changed"), entry("link/new")))
    except LayerRefused as error:
        assert "no directory" in str(error)
    assert (box.outside / "kept").read_text() == "kept"
    assert names(box.outside) == ["kept"]


def test_a_file_replaces_a_link_and_never_writes_through_it(box: Box) -> None:
    link = entry("link", tarfile.SYMTYPE, linkname="victim")
    box.unpack(archive((entry("victim"), b"old"), link, (entry("link"), b"new")))
    assert box.path("victim").read_bytes() == b"old"
    assert box.path("link").read_bytes() == b"new"


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.99])
def test_a_truncated_archive_is_refused(
    box: Box, compress: Callable[[bytes], bytes], keep: float
) -> None:
    whole = archive((entry("a"), os.urandom(5000)), (entry("b"), os.urandom(50000)))
    diff_id = f"sha256:{hashlib.sha256(whole).hexdigest()}"
    data = compress(whole)
    with pytest.raises(LayerRefused):
        box.unpack(data[: int(len(data) * keep)], diff_id=diff_id)


def test_another_archive_than_promised_is_refused(box: Box) -> None:
    with pytest.raises(LayerRefused, match="its digest is"):
        box.unpack(archive(entry("a")), diff_id=f"sha256:{'0' * 64}")


def test_a_blob_that_cannot_be_read_leaves_nothing_behind(box: Box) -> None:
    """Neither a process that waits for it nor a descriptor."""

    def mine() -> tuple[list[str], list[Path]]:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        return children, sorted(Path("/proc/self/fd").iterdir())

    before = mine()
    with pytest.raises(FileNotFoundError):
        unpack(box.blob, box.target)
    assert mine() == before


def test_headers_that_come_and_come_are_refused(box: Box) -> None:
    """Each is short enough; all of them would fill the memory before there is a file."""
    pax = [archive(entry("f", pax_headers={f"note{n}": "x" * 50_000})) for n in range(40)]
    with pytest.raises(LayerRefused, match="headers are longer"):
        box.unpack(b"".join(each[: 99 * 512] for each in pax))


def test_the_reason_is_told_though_much_comes_behind_it(box: Box) -> None:
    """Nobody reads the rest then, but for its digest: the archive is the one that was promised."""
    link = entry("link", tarfile.LNKTYPE, linkname="/nowhere")
    whole = archive(link, (entry("much"), os.urandom(8 << 20)))
    with pytest.raises(LayerRefused, match="which the layer lacks"):
        box.unpack(whole, diff_id=f"sha256:{hashlib.sha256(whole).hexdigest()}")
    assert not box.path("much").exists()


_FIELDS = {
    "mode": (100, 8),
    "uid": (108, 8),
    "size": (124, 12),
    "mtime": (136, 12),
    "map": (386, 98),
}
_PAX = ("mtime", "size", "uid", "path", "GNU.sparse.map", "GNU.sparse.size", "GNU.sparse.major")


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(b"0123456 7SLKxgDZ"),
    field=st.sampled_from(sorted(_FIELDS)),
    value=st.binary(max_size=24) | st.from_regex(rb"[0-7]{1,11}", fullmatch=True),
    pax=st.dictionaries(
        st.sampled_from(_PAX), st.sampled_from(["", "-1", "nan", "inf", "1e400", "0,9", "9" * 5000])
    ),
    more=st.binary(max_size=1100),
)
def test_whatever_a_header_says_the_archive_is_unpacked_or_refused(
    kind: int, field: str, value: bytes, pax: dict[str, str], more: bytes
) -> None:
    """Its checksum is right, and nothing else need be: no other error comes of it."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="paas-test-") as folder:
        box = Box(Path(folder))
        data = bytearray(archive((entry("file", pax_headers=pax), b"content")))
        place, length = _FIELDS[field]
        at = data.rfind(b"file\0")
        data[at + place : at + place + length] = value[:length].ljust(length, b"\0")
        data[at + 156] = kind
        total = sum(data[at : at + 148]) + 8 * 32 + sum(data[at + 156 : at + 512])
        data[at + 148 : at + 156] = b"%06o\0 " % total
        data[at + 512 : at + 512 + len(more)] = more
        try:
            box.unpack(bytes(data))
        except LayerRefused as error:
            assert "unexpected" not in str(error)
        assert (box.outside / "kept").read_text() == "kept"


@pytest.mark.parametrize("data", [b"no tar at all" * 100, b"\x1f\x8bbroken" * 10])
def test_what_is_no_archive_is_refused(box: Box, data: bytes) -> None:
    with pytest.raises(LayerRefused, match=r"not a whole tar archive|compression is broken"):
        box.unpack(data)


def test_a_bomb_of_entries_is_refused(box: Box) -> None:
    with pytest.raises(LayerRefused, match="more than 10 entries"):
        box.unpack(archive(*(entry(f"{n}") for n in range(11))), limits=Limits(entries=10))


def test_a_bomb_of_bytes_is_refused_before_it_is_written(box: Box) -> None:
    bomb = gzip.compress(archive((entry("zeros"), bytes(32 << 20))))
    assert len(bomb) < 1 << 20
    with pytest.raises(LayerRefused, match="unpacks to more than 1048576 bytes"):
        box.unpack(bomb, limits=Limits(bytes=1 << 20))
    assert not box.path("zeros").exists()


def test_a_bomb_behind_the_end_is_refused(box: Box) -> None:
    """Bytes after the archive's end are no entries, and still cost time."""
    bomb = gzip.compress(archive(entry("a")) + bytes(32 << 20))
    with pytest.raises(LayerRefused, match="unpacks to more than"):
        box.unpack(bomb, limits=Limits(bytes=1 << 20))


def test_devices_are_left_out(box: Box) -> None:
    disk = entry("dev/sda", tarfile.BLKTYPE, devmajor=8, devminor=0)
    fake = entry("etc", tarfile.CHRTYPE, devmajor=0, devminor=0)
    assert box.unpack(archive(disk, fake)).devices == 2
    assert list(box.target.rglob("*")) == []


def test_marks_of_the_overlay_are_not_an_images_to_set(box: Box) -> None:
    headers = {
        "SCHILY.xattr.trusted.overlay.opaque": "y",
        "SCHILY.xattr.trusted.overlay.redirect": "/etc",
        "SCHILY.xattr.user.overlay.opaque": "y",
    }
    box.unpack(archive(entry("dir", tarfile.DIRTYPE, pax_headers=headers)))
    assert os.listxattr(box.path("dir")) == []


def test_ids_no_range_has_become_nobodys(box: Box) -> None:
    unpacked = box.unpack(archive(entry("file", uid=2_000_000, gid=5)))
    assert unpacked.nobodies == 1
    assert (box.path("file").stat().st_uid, box.path("file").stat().st_gid) == (65534, 5)


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_reads_every_compression(box: Box, kind: str) -> None:
    content = os.urandom(1 << 16) + bytes(5 << 20)
    whole = archive((entry("file"), content))
    diff_id = f"sha256:{hashlib.sha256(whole).hexdigest()}"
    assert box.unpack(COMPRESSIONS[kind](whole), diff_id=diff_id).diff_id == diff_id
    assert box.path("file").read_bytes() == content


def test_keeps_modes_owners_times_and_links(box: Box) -> None:
    box.unpack(
        archive(
            entry("bin", tarfile.DIRTYPE, mode=0o2711, uid=3, gid=4, mtime=1000),
            (entry("bin/su", mode=0o4755, uid=1, gid=2, mtime=2000), b"x"),
            entry("bin/hard", tarfile.LNKTYPE, linkname="bin/su"),
            entry("bin/soft", tarfile.SYMTYPE, linkname="/bin/su", uid=7),
            entry("bin/dangling-hard", tarfile.LNKTYPE, linkname="bin/soft"),
            entry("pipe", tarfile.FIFOTYPE),
        )
    )
    folder, file = box.path("bin").stat(), box.path("bin/su").stat()
    assert (stat.S_IMODE(folder.st_mode), folder.st_uid, folder.st_mtime) == (0o2711, 3, 1000)
    assert (stat.S_IMODE(file.st_mode), file.st_uid, file.st_mtime) == (0o4755, 1, 2000)
    assert box.path("bin/hard").stat().st_ino == file.st_ino
    assert os.fspath(box.path("bin/soft").readlink()) == "/bin/su"
    assert box.path("bin/soft").lstat().st_uid == 7
    assert box.path("bin/dangling-hard").is_symlink()
    assert stat.S_ISFIFO(box.path("pipe").stat().st_mode)


def test_directories_that_have_no_entry_are_open_to_their_owner_alone_to_write(box: Box) -> None:
    box.unpack(archive(entry("not/in/it/file")))
    for name in ("not", "not/in", "not/in/it"):
        assert stat.S_IMODE((box.target / name).stat().st_mode) == 0o755


def test_keeps_file_capabilities(box: Box) -> None:
    value = CAPABILITY.decode("utf-8", "surrogateescape")
    headers = {"SCHILY.xattr.security.capability": value, "SCHILY.xattr.user.note": "hello"}
    box.unpack(archive((entry("ping", pax_headers=headers), b"x")))
    assert os.getxattr(box.path("ping"), "security.capability") == CAPABILITY
    assert os.getxattr(box.path("ping"), "user.note") == b"hello"


def test_whiteouts_become_the_overlays(box: Box) -> None:
    box.unpack(
        archive(
            entry("etc", tarfile.DIRTYPE),
            entry("etc/.wh.passwd"),
            entry("var", tarfile.DIRTYPE),
            entry("var/.wh..wh..opq"),
            entry(".wh..wh.plnk", tarfile.DIRTYPE),
        )
    )
    hidden = box.path("etc/passwd").lstat()
    assert stat.S_ISCHR(hidden.st_mode)
    assert hidden.st_rdev == 0
    assert os.getxattr(box.path("var"), "trusted.overlay.opaque") == b"y"
    assert names(box.target) == ["etc", "var"]


@pytest.mark.parametrize("first", ["whiteout", "entry"])
def test_a_whiteout_hides_only_what_is_below(box: Box, first: str) -> None:
    """A path removed and made again in one layer: what is new stays, in either order."""
    whiteouts: list[Entry] = [entry(".wh.dir"), entry(".wh.file")]
    made: list[Entry] = [entry("dir", tarfile.DIRTYPE), entry("dir/new"), (entry("file"), b"new")]
    box.unpack(archive(*(whiteouts + made if first == "whiteout" else made + whiteouts)))
    assert os.getxattr(box.path("dir"), "trusted.overlay.opaque") == b"y"
    assert box.path("dir/new").is_file()
    assert box.path("file").read_bytes() == b"new"


def test_names_may_be_any_bytes(box: Box) -> None:
    name = b"caf\xe9\nline".decode("utf-8", "surrogateescape")
    box.unpack(archive((entry(name), b"x"), (entry("ünïcode/" + "n" * 150), b"y")))
    assert b"caf\xe9\nline" in [os.fsencode(name) for name in names(box.target)]
    assert box.path("ünïcode/" + "n" * 150).read_bytes() == b"y"


def test_an_odd_layer_comes_back_as_it_was(box: Box, tmp_path: Path) -> None:
    """Packed, unpacked and packed again: the same bytes, so the same digest."""
    value = CAPABILITY.decode("utf-8", "surrogateescape")
    odd = b"caf\xe9\nline".decode("utf-8", "surrogateescape")
    box.unpack(
        archive(
            entry("./", tarfile.DIRTYPE, mode=0o711, uid=9),
            entry("etc", tarfile.DIRTYPE, mode=0o700, uid=12, gid=65535, mtime=1234),
            entry("etc/.wh.passwd"),
            entry("var", tarfile.DIRTYPE),
            entry("var/.wh..wh..opq"),
            (
                entry(
                    "bin/ping", mode=0o4755, pax_headers={"SCHILY.xattr.security.capability": value}
                ),
                b"x" * 10_000,
            ),
            entry("bin/hard", tarfile.LNKTYPE, linkname="bin/ping"),
            entry("bin/soft", tarfile.SYMTYPE, linkname="ping", mtime=99),
            (entry(odd), b"odd"),
            (entry("long/" + "n" * 200), b"long"),
        )
    )
    first = io.BytesIO()
    packed = pack(box.target, first)
    assert packed.digest == f"sha256:{hashlib.sha256(first.getvalue()).hexdigest()}"
    assert packed.size == len(first.getvalue())
    again = tmp_path / "again"
    again.mkdir()
    box.blob.write_bytes(first.getvalue())
    unpack(box.blob, again, diff_id=packed.digest)
    second = io.BytesIO()
    pack(again, second)
    assert second.getvalue() == first.getvalue()
    assert os.getxattr(again / "bin/ping", "security.capability") == CAPABILITY
    assert (again / "bin/hard").stat().st_ino == (again / "bin/ping").stat().st_ino
    assert stat.S_IMODE(again.stat().st_mode) == 0o711


@pytest.mark.parametrize("form", ["gnu", "pax-1.0", "pax-0.1"])
def test_sparse_files_stay_sparse(box: Box, tmp_path: Path, form: str) -> None:
    """As GNU tar writes them: content at both ends of a hole, in more parts than a header has."""
    source = tmp_path / "source"
    source.mkdir()
    with (source / "holes").open("wb") as file:
        for part in range(30):
            file.seek(part << 20)
            file.write(b"part %d" % part)
        file.truncate(64 << 20)
    kind = ["gnu"] if form == "gnu" else ["pax", f"--sparse-version={form[-3:]}"]
    argv = ["tar", "--sparse", "-cf", "-", f"--format={kind[0]}", *kind[1:], "-C", source, "holes"]
    box.unpack(run(argv).stdout)
    assert box.path("holes").read_bytes() == (source / "holes").read_bytes()
    assert box.path("holes").stat().st_blocks * 512 < 2 << 20


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_zeros_take_no_room(box: Box, kind: str) -> None:
    """Go's archive/tar writes no sparse files: what was one comes as zeros."""
    whole = archive((entry("zeros"), bytes(8 << 20)), (entry("end"), bytes(100) + b"x"))
    box.unpack(COMPRESSIONS[kind](whole))
    assert box.path("zeros").read_bytes() == bytes(8 << 20)
    assert box.path("zeros").stat().st_blocks == 0
    assert box.path("end").read_bytes() == bytes(100) + b"x"


def test_a_sparse_bomb_is_refused(box: Box, tmp_path: Path) -> None:
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", 1 << 40)
    data = run(["tar", "--sparse", "-cf", "-", "-C", tmp_path, "huge"]).stdout
    with pytest.raises(LayerRefused, match="unpacks to more than"):
        box.unpack(data, limits=Limits(bytes=1 << 30))


def test_a_hundred_thousand_files() -> None:
    """In memory: a disk would be what is measured."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="paas-test-") as folder:
        box = Box(Path(folder))
        headers = [entry(f"d{n // 1000}/f{n}").tobuf() for n in range(100_000)]
        box.unpack(b"".join(headers) + bytes(1024))
        assert sum(len(files) for _, _, files in os.walk(box.target)) == 100_000


def test_a_set_group_id_directory_gives_its_group_to_nothing(box: Box) -> None:
    box.unpack(
        archive(
            entry("spool", tarfile.DIRTYPE, mode=0o2775, gid=8),
            (entry("spool/own"), b"x"),
            entry("spool/below", tarfile.DIRTYPE),
        )
    )
    assert box.path("spool").stat().st_mode & 0o7777 == 0o2775
    assert {box.path(f"spool/{name}").stat().st_gid for name in ("own", "below")} == {0}


def test_a_replaced_directory_keeps_nothing_of_its_own(box: Box) -> None:
    box.unpack(
        archive(
            entry("a", tarfile.DIRTYPE, mode=0o1777, mtime=5),
            entry("a/b/c"),
            entry("a", tarfile.SYMTYPE, linkname="other"),
            entry("other", tarfile.DIRTYPE, mode=0o700, mtime=7),
            entry("a/d"),
        )
    )
    assert names(box.target) == ["a", "other"]
    assert names(box.path("other")) == ["d"]
    assert box.path("other").stat().st_mode & 0o7777 == 0o700


@pytest.mark.parametrize("tool", ["gnu", "pax", "ustar", "v7", "oldgnu"])
def test_reads_what_gnu_tar_writes(box: Box, tmp_path: Path, tool: str) -> None:
    """Another implementation's archives, with names and numbers that fit no old header."""
    source = tmp_path / "source"
    deep = source / ("d" * 60) / ("e" * 30)
    deep.mkdir(parents=True)
    (deep / "file").write_text("content")
    (deep / "link").symlink_to("file")
    (deep / "hard").hardlink_to(deep / "file")
    if tool in ("gnu", "pax"):
        (deep / ("n" * 150)).write_text("long")
        (deep / "far").symlink_to("t" * 150)
        os.chown(deep / "file", 60_000, 3_000_000)
    box.unpack(run(["tar", "-cf", "-", f"--format={tool}", "-C", source, "."]).stdout)
    there = run(["diff", "-r", "--no-dereference", source, box.target], check=False)
    assert there.text == ""
    again = box.target / deep.relative_to(source)
    assert (again / "hard").stat().st_ino == (again / "file").stat().st_ino
    if tool in ("gnu", "pax"):
        assert ((again / "file").stat().st_uid, (again / "file").stat().st_gid) == (60_000, 65534)


@pytest.mark.parametrize(
    ("place", "value", "why"),
    [
        (148, b"0000000\0", "checksum"),
        (124, b"-0000000001\0", "below zero"),
        (124, b"\xff" * 12, "below zero"),
        (124, b"twelve......", "no number"),
    ],
)
def test_a_broken_header_is_refused(box: Box, place: int, value: bytes, why: str) -> None:
    data = bytearray(archive((entry("file"), b"content")))
    data[place : place + len(value)] = value
    if place != 148:
        total = sum(data[:148]) + 8 * 32 + sum(data[156:512])
        data[148:156] = b"%06o\0 " % total
    with pytest.raises(LayerRefused, match=why):
        box.unpack(bytes(data))


def test_a_global_header_is_nobodys(box: Box) -> None:
    """git archive writes one; Docker ignores what it says."""
    buffer = io.BytesIO()
    headers = {"comment": "c0ffee", "path": "/etc/shadow"}
    with tarfile.open(
        fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers=headers
    ) as tar:
        tar.addfile(entry("file"))
    box.unpack(buffer.getvalue())
    assert names(box.target) == ["file"]


def test_only_files_have_content(box: Box) -> None:
    """umoci gives directories the size that stat(2) has for them; nothing follows."""
    folder = entry("folder", tarfile.DIRTYPE, size=4096).tobuf()
    box.unpack(folder + archive((entry("folder/file"), b"content")))
    assert box.path("folder/file").read_bytes() == b"content"
