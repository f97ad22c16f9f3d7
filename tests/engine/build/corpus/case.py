"""What a case of the corpus is, and the files that many of them copy."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

FROM = "FROM paas/test-base:1\n"

NEWER = ("docker 26", "docker 27", "docker 28", "docker 29")
"""Builders that know the Dockerfile language as it was in 2024."""

Files = Mapping[str, str | bytes]


@dataclass(frozen=True)
class Case:
    """One build. `prepare` makes what a mapping of texts cannot say.

    `older` says the same in the words of builders that know no better, all but those that
    `by` names. `differs` is by the beginning of a
    builder's name and version: paths and fields in which ours is another one on purpose, or
    theirs is wrong, with the reason.
    """

    name: str
    dockerfile: str
    files: Files = field(default_factory=dict)
    args: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    prepare: Callable[[Path], None] = lambda _: None
    older: str = ""
    by: tuple[str, ...] = ()
    differs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def expected(self, builder: str) -> dict[str, str]:
        """What differs from the image of a builder, with the reasons."""
        found: dict[str, str] = {}
        for name, differences in self.differs.items():
            if builder.startswith(name):
                found |= differences
        return found

    def options(self, builder: str, older: Path) -> list[str]:
        """The options of another builder's `build`; `older` is where a file of its own may be."""
        found = [f"--build-arg={name}={value}" for name, value in self.args.items()]
        found += [f"--target={self.target}"] if self.target else []
        if self.older and not builder.startswith(self.by):
            older.write_text(self.older)
            found.append(f"--file={older}")
        return found

    def write(self, folder: Path) -> None:
        """Make the context. A text that begins with `-> ` is a link, `#!` is executable."""
        folder.mkdir(parents=True)
        for name, content in {**self.files, "Dockerfile": self.dockerfile}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("/"):
                path.mkdir(exist_ok=True)
            elif isinstance(content, bytes):
                path.write_bytes(content)
            elif content.startswith("-> "):
                path.symlink_to(content.removeprefix("-> "))
            else:
                path.write_text(content, newline="")
                path.chmod(0o755 if content.startswith("#!") else 0o644)
        self.prepare(folder)


def archive(kind: str) -> bytes:
    """A tar with a directory, two owners, a setuid file, links, and a name beyond ASCII."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{kind}", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
        put(tar, "top", 0o711, tarfile.DIRTYPE, uid=3, gid=4)
        put(tar, "top/file", 0o640, uid=1000, gid=50)
        put(tar, "top/suid", 0o4755)
        put(tar, "top/näme", 0o644)
        put(tar, "top/soft", 0o777, tarfile.SYMTYPE, linkname="file")
        put(tar, "top/away", 0o777, tarfile.SYMTYPE, linkname="/etc/passwd")
        put(tar, "top/hard", 0o640, tarfile.LNKTYPE, linkname="top/file", uid=1000, gid=50)
        put(tar, "made/for/it", 0o600)
    return buffer.getvalue()


def put(
    tar: tarfile.TarFile, name: str, mode: int, kind: bytes = tarfile.REGTYPE, **more: object
) -> None:
    """Add an entry; a file's content is `data`, or else its name."""
    data = more.pop("data", name.encode())
    assert isinstance(data, bytes)
    member = tarfile.TarInfo(name)
    member.mode, member.type, member.mtime = mode, kind, 1_500_000_000
    for key, value in more.items():
        setattr(member, key, value)
    data = data if kind == tarfile.REGTYPE else b""
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


TREE: Files = {
    "a.txt": "A\n",
    "b.txt": "B\n",
    "run.sh": "#!/bin/sh\necho run\n",
    "with space.txt": "space\n",
    "dir/one": "1\n",
    "dir/sub/two": "2\n",
    "dir/sub/.hidden": "h\n",
    "dir/link": "-> one",
    "links/dangling": "-> /nowhere",
    "links/up": "-> ../a.txt",
    "dir/to-sub": "-> sub",
    "other/one": "other\n",
    "other/three": "3\n",
    "empty/": "",
    "top-link": "-> dir/one",
    "dir-link": "-> dir",
}

PLAIN = {name: text for name, text in TREE.items() if name not in ("dir/link", "dir/to-sub")}
"""Without the links in `dir`."""
