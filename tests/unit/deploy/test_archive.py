"""What an archive may hold, and what it becomes in git."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path
from random import Random

import pytest
from dulwich.repo import Repo

from paas.deploy import archive
from paas.deploy.archive import ArchiveRefused, Member, members
from paas.deploy.commits import commit_of, only_branch, set_branch
from paas.deploy.tree import GitContext, Objects


def tar(*entries: tuple[str, bytes, str], mode: str = "w") -> io.BytesIO:
    """A tar of (name, type, what): contents of a file, target of a link."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as made:
        for name, kind, what in entries:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(what)
                info.mode = 0o755 if name.endswith(".sh") else 0o640
                made.addfile(info, io.BytesIO(what.encode()))
            else:
                info.linkname = what
                made.addfile(info)
    file.seek(0)
    return file


def zipped(*entries: tuple[str, int, str], system: int = 3) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, mode, what in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.create_system = system
            made.writestr(info, what)
    file.seek(0)
    return file


FILE, LINK = tarfile.REGTYPE, tarfile.SYMTYPE


def test_a_tar_that_is_cut_off_anywhere_is_refused() -> None:
    whole = tar(("a", FILE, "x" * 600), ("b", LINK, "a"), ("c" * 120, FILE, "")).getvalue()
    expected = list(members(io.BytesIO(whole), "tar"))
    refused = 0
    for end in range(0, len(whole), 64):
        try:
            assert list(members(io.BytesIO(whole[:end]), "tar")) == expected
        except ArchiveRefused:
            refused += 1
    # One block of zeros is taken for the end, as of programs that write no second one.
    assert refused * 64 == len(whole.rstrip(b"\0")) // 512 * 512 + 1024


def test_a_damaged_header_is_not_the_end_of_a_tar() -> None:
    damaged = bytearray(tar(("a", FILE, "x"), ("b", FILE, "y")).getvalue())
    damaged[1024] ^= 1
    with pytest.raises(ArchiveRefused, match="cut off"):
        list(members(io.BytesIO(damaged), "tar"))


@pytest.mark.parametrize("name", ["/etc/passwd", "../outside", "a/../../b", "a/..", ".."])
def test_a_name_that_leads_out_is_refused(name: str) -> None:
    with pytest.raises(ArchiveRefused, match="leads out of it"):
        list(members(tar((name, FILE, "x")), "tar"))
    with pytest.raises(ArchiveRefused, match="leads out of it"):
        list(members(zipped((name, 0o100644, "x")), "zip"))


def test_a_name_of_windows_that_leads_out_is_refused() -> None:
    for name in ("a\\..\\..\\b", "\\etc\\passwd", "..\\b"):
        with pytest.raises(ArchiveRefused, match="leads out of it"):
            list(members(zipped((name, 0o100644, "x"), system=0), "zip"))


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_what_is_no_file_is_refused(kind: bytes) -> None:
    with pytest.raises(ArchiveRefused, match="neither a file nor a link"):
        list(members(tar(("device", kind, "")), "tar"))


@pytest.mark.parametrize("kind", archive.KINDS)
@pytest.mark.parametrize("data", [b"", b"not an archive", b"PK\x03\x04", b"\x1f\x8b\x08\x00"])
def test_what_is_no_archive_is_refused(kind: str, data: bytes) -> None:
    with pytest.raises(ArchiveRefused, match=f"no whole {kind} archive"):
        list(members(io.BytesIO(data), kind))


def test_a_hard_link_to_nothing_is_refused() -> None:
    with pytest.raises(ArchiveRefused, match="no whole tar archive"):
        list(members(tar(("hard", tarfile.LNKTYPE, "nowhere")), "tar"))


def test_half_an_archive_is_refused() -> None:
    whole = tar(("a", FILE, "x" * 100_000), mode="w:gz").getvalue()
    with pytest.raises(ArchiveRefused):
        list(members(io.BytesIO(whole[: len(whole) // 2]), "tar.gz"))


@pytest.mark.parametrize("kind", archive.KINDS)
def test_a_damaged_archive_is_read_or_refused(kind: str) -> None:
    """Bytes of each are changed, by a generator that always makes the same changes."""
    entries = [("run.sh", FILE, "#!" * 50), ("l", LINK, "a/b"), ("näme" * 30, FILE, "x" * 5000)]
    whole = {
        "tar": [tar(*entries).getvalue()],
        "tar.gz": [tar(*entries, mode=f"w:{how}").getvalue() for how in ("gz", "bz2", "xz")],
        "zip": [zipped(("x.sh", 0o100755, "#!"), ("näme", 0o100644, "y")).getvalue()],
    }
    random = Random(kind)
    refused = 0
    for data in whole[kind] * 200:
        changed = bytearray(data)
        for _ in range(random.choice((1, 1, 2, 4))):
            changed[random.randrange(len(changed))] = random.randrange(256)
        try:
            list(members(io.BytesIO(changed), kind))
        except ArchiveRefused:
            refused += 1
    assert refused > 20


def named(how: str, folder: Path) -> io.BytesIO:
    """An archive of the names in `ODD`, by the program that most people make one with."""
    for name in ODD:
        (folder / name).write_text(name.encode("utf-8", "surrogateescape").hex())
    commands = {
        "tar": ["tar", "-cf", "-", "."],
        "tar.gz": ["tar", "-czf", "-", "."],
        "zip": ["zip", "-qr", "-", "."],
    }
    done = subprocess.run(commands[how], cwd=folder, capture_output=True, check=True)
    return io.BytesIO(done.stdout)


ODD = [
    "näme",
    "a\\b",
    "two\nlines",
    " ",
    "$(id)",
    os.fsdecode(b"caf\xe9"),
    os.fsdecode(b"\xff\xfe"),
]


@pytest.mark.parametrize("kind", archive.KINDS)
def test_names_in_any_bytes_are_what_they_were(tmp_path: Path, kind: str) -> None:
    found = {one.path: one.data for one in members(named(kind, tmp_path), kind)}
    assert found == {name: os.fsencode(name).hex().encode() for name in ODD}


def test_names_of_windows_are_in_its_code_page_with_its_separators() -> None:
    made = zipped(("d/cafX/x", 0o100644, ""), ("d\\e\\f", 0o100644, ""), system=0).getvalue()
    found = members(io.BytesIO(made.replace(b"cafX", b"caf\x82")), "zip")
    assert [one.path for one in found] == ["d/café/x", "d/e/f"]


def test_too_many_and_too_much_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_FILES", 2)
    with pytest.raises(ArchiveRefused, match="more than 2 files"):
        list(members(tar(*((str(n), FILE, "") for n in range(3))), "tar"))
    monkeypatch.setattr(archive, "MAX_BYTES", 1 << 20)
    bomb = zipped(*((str(n), 0o100644, "\0" * (600 << 10)) for n in range(2)))
    with pytest.raises(ArchiveRefused, match="unfolds to more than 1 MiB"):
        list(members(bomb, "zip"))


def test_files_links_and_modes_are_kept_and_a_git_directory_is_not() -> None:
    entries = [
        ("run.sh", FILE, "#!"),
        ("./a/b", FILE, "text"),
        ("link", LINK, "a/b"),
        ("hard", tarfile.LNKTYPE, "run.sh"),
        (".git/config", FILE, "[core]"),
    ]
    assert list(members(tar(*entries, mode="w:gz"), "tar.gz")) == [
        Member("run.sh", stat.S_IFREG | 0o755, b"#!"),
        Member("a/b", stat.S_IFREG | 0o644, b"text"),
        Member("link", stat.S_IFLNK, b"a/b"),
        Member("hard", stat.S_IFREG | 0o644, b"#!"),
    ]
    found = members(zipped(("x.sh", 0o100755, "#!"), ("l", 0o120777, "x.sh")), "zip")
    assert [(one.path, oct(one.mode)) for one in found] == [("x.sh", "0o100755"), ("l", "0o120000")]


def contents(path: Path, commit: str) -> dict[str, bytes]:
    objects = Objects(path / "objects", path / "objects")
    context = GitContext(objects, commit)
    return {name: context.read(name) for name, entry in context.entries().items() if entry.digest
            and not stat.S_ISDIR(entry.mode)}  # fmt: skip


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    Repo.init_bare(str(tmp_path)).close()
    return tmp_path


def test_they_become_a_commit_without_the_directory_around_them(bare: Path) -> None:
    found = [Member(f"app-1.0/{name}", stat.S_IFREG | 0o644, b"x") for name in ("a", "b/c", "b/d")]
    commit = commit_of(bare, found, "Archive", 1_700_000_000.5)
    set_branch(bare, "main", commit)
    assert contents(bare, commit) == {"a": b"x", "b/c": b"x", "b/d": b"x"}
    assert (bare / "refs/heads/main").read_text().strip() == commit


def test_one_branch_stays_where_others_were(bare: Path) -> None:
    """Also packed, and one that is a directory of another; git then makes the other again."""
    commit = commit_of(bare, [Member("a", stat.S_IFREG | 0o644, b"x")], "Archive", 0)
    set_branch(bare, "old", commit)
    git = ["git", "--git-dir", str(bare)]
    subprocess.run([*git, "pack-refs", "--all"], check=True)
    set_branch(bare, "team/new", commit)
    only_branch(bare, "team")
    set_branch(bare, "team", commit)
    only_branch(bare, "team")
    only_branch(bare, "team/new")
    subprocess.run([*git, "update-ref", "refs/heads/team/new", commit], check=True)
    shown = [*git, "for-each-ref", "--format=%(refname)"]
    refs = subprocess.run(shown, check=True, capture_output=True, text=True).stdout
    assert refs == "refs/heads/team/new\n"


def test_an_empty_archive_and_a_file_that_is_a_directory_are_refused(bare: Path) -> None:
    with pytest.raises(ArchiveRefused, match="no files"):
        commit_of(bare, [], "Archive", 0)
    both = [Member(name, stat.S_IFREG | 0o644, b"x") for name in ("z", "a", "a/b")]
    with pytest.raises(ArchiveRefused, match="a directory too"):
        commit_of(bare, both, "Archive", 0)
