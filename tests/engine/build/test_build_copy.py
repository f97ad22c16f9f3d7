"""COPY and ADD: what lands where, whose it is, and that nothing leaves the image's root."""

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from paas.engine.build.context import ContextEntry
from paas.engine.build.errors import DockerfileError, StepFailed
from tests.engine.build.rig import Rig, Seen, Told, Tree

FROM = "FROM paas/test-base:1\n"
TIME = Tree.mtime


def failure(rig: Rig, lines: str, contents: dict[str, str | bytes] | None = None) -> str:
    with pytest.raises((StepFailed, DockerfileError)) as caught:
        rig.build(FROM + lines, contents)
    assert rig.leftovers() == []
    return caught.value.brief.removeprefix("Dockerfile:2: ")


def test_a_file_goes_to_a_name_or_into_a_directory(rig: Rig) -> None:
    image = rig.build(
        FROM + "COPY a /name\nCOPY a /old\nCOPY a /new/\nCOPY a x.sh /both/\n",
        {"a": "A", "x.sh": "#!/bin/sh\n"},
    )
    found = rig.look_all(image)
    for path in ("name", "old/a", "new/a", "both/a"):
        assert found[path] == Seen("file", 0o644, (0, 0), b"A", TIME)
    assert found["both/x.sh"].mode == 0o755
    assert found["new"] == Seen("dir", 0o755, (0, 0), mtime=found["new"].mtime)


def test_the_contents_of_a_directory_are_copied_not_itself(rig: Rig) -> None:
    contents = {"d/f": "F", "d/sub/g": "G", "d/empty/": "", "d/link": "-> sub/g"}
    image = rig.build(FROM + "COPY d /there\nCOPY d /old/dir/\nCOPY . /all/\n", contents)
    found = rig.look_all(image)
    assert found["there/f"].content == b"F"
    assert found["there/sub/g"].content == b"G"
    assert found["there/empty"].kind == "dir"
    assert found["there/link"] == Seen("link", 0o777, (0, 0), b"sub/g", TIME)
    assert found["old/dir"].mode == 0o700  # an existing directory keeps its attributes
    assert found["old/dir/f"].content == b"F"
    assert found["all/d/f"].content == b"F"
    assert found["all/Dockerfile"].kind == "file"


def test_relative_destinations_start_at_the_workdir(rig: Rig) -> None:
    image = rig.build(FROM + "WORKDIR /w/x\nCOPY a b/\nCOPY a .\nCOPY a ../up\n", {"a": "A"})
    found = rig.look_all(image)
    assert {"w/x/b/a", "w/x/a", "w/up"} <= set(found)


def test_owners_by_number_and_by_the_images_own_names(rig: Rig) -> None:
    image = rig.build(
        FROM + "COPY --chown=7 a /n/f\nCOPY --chown=7:8 a /nn\nCOPY --chown=me a /u\n"
        "COPY --chown=me:staff d /g\nARG who=bin\nCOPY --chown=$who --chmod=4710 a /v\n",
        {"a": "A", "d/x": "X"},
    )
    found = rig.look_all(image)
    assert found["n/f"].owner == (7, 7)
    assert found["n"].owner == (7, 7)  # the directories that are made for it, too
    assert found["nn"].owner == (7, 8)
    assert found["u"].owner == (1000, 1001)
    assert found["g"].owner == found["g/x"].owner == (1000, 50)
    assert (found["v"].owner, found["v"].mode) == ((2, 3), 0o4710)


def test_unknown_owners_and_modes_are_said(rig: Rig) -> None:
    contents: dict[str, str | bytes] = {"a": "A"}
    assert failure(rig, "COPY --chown=who a /a\n", contents).startswith("--chown who: ")
    assert failure(rig, "COPY --chown=1:who a /a\n", contents).startswith("--chown 1:who: ")
    assert failure(rig, "COPY --chown=70000 a /a\n", contents).startswith("--chown 70000: ")
    assert failure(rig, "COPY --chmod=u+y a /a\n", contents) == (
        "invalid chmod parameter: 'u+y'. it should be octal string and between 0 and 07777"
    )


def test_patterns_and_exclusions(rig: Rig) -> None:
    contents = {"a.txt": "", "b.txt": "", "c.md": "", "d/e.txt": "", "d/f.md": "", "[x]": ""}
    image = rig.build(
        FROM + "COPY *.txt /star/\nCOPY ?.md /one/\nCOPY [ab].txt /set/\nCOPY d/** /deep/\n"
        "COPY --exclude=*.md d /ex\nCOPY --exclude=a* *.txt /ex2/\nCOPY [[]x] /lit/\n"
        "COPY nothing* c.md /some/\n",
        contents,
    )
    found = {path for path, seen in rig.look_all(image).items() if seen.kind == "file"}
    new = {path for path in found if not path.startswith(("bin/", "etc/", "old/"))}
    assert new == {
        "star/a.txt", "star/b.txt", "one/c.md", "set/a.txt", "set/b.txt", "deep/e.txt",
        "deep/f.md", "ex/e.txt", "ex2/b.txt", "lit/[x]", "some/c.md",
    }  # fmt: skip


def test_parents_keep_the_path(rig: Rig) -> None:
    image = rig.build(
        FROM + "COPY --parents x/y/a x/b /p/\nCOPY --parents x/./y/a /q/\n",
        {"x/y/a": "A", "x/b": "B"},
    )
    assert {"p/x/y/a", "p/x/b", "q/y/a"} <= set(rig.look_all(image))


def test_documents_are_files(rig: Rig) -> None:
    image = rig.build(
        FROM + "ARG who=you\nCOPY <<one <<'two' /docs/\nhi $who\none\nhi $who\ntwo\n"
        "COPY <<EOF /alone\nx\nEOF\n"
    )
    found = rig.look_all(image)
    assert found["docs/one"].content == b"hi you\n"
    assert found["docs/two"].content == b"hi $who\n"
    assert (found["alone"].content, found["alone"].mode) == (b"x\n", 0o644)


def test_the_ignored_is_not_there(rig: Rig) -> None:
    contents = {".dockerignore": "d\n!d/keep\n*.md\n", "d/a": "", "d/keep": "", "x.md": "", "y": ""}
    image = rig.build(FROM + "COPY . /c/\n", contents)
    found = {path for path in rig.look_all(image) if path.startswith("c/")}
    assert found == {"c/.dockerignore", "c/Dockerfile", "c/d", "c/d/keep", "c/y"}
    assert failure(rig, "COPY x.md /c/\n", contents) == (
        'COPY: "/x.md" is not in the build context'
    )


class Many:
    """A context of a hundred thousand files, which nobody has to write."""

    mtime = 1_600_000_000

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts
        names = [f"d{number // 1000}/f{number % 1000}" for number in range(100_000)]
        folders = {f"d{number}": stat.S_IFDIR | 0o755 for number in range(100)}
        modes = folders | dict.fromkeys([*names, *texts], stat.S_IFREG | 0o644)
        self._entries = {path: ContextEntry(path, mode, path, 1) for path, mode in modes.items()}

    def entries(self) -> dict[str, ContextEntry]:
        return self._entries

    def read(self, path: str) -> bytes:
        return self._texts.get(path, path).encode()

    def copy_to(self, path: str, descriptor: int) -> None:
        os.write(descriptor, self.read(path))


def test_a_hundred_thousand_files(rig: Rig) -> None:
    """What is left of them is copied, and what is a word about them costs a moment."""
    dockerfile = FROM + "COPY . /all/\nCOPY d99/f9* d5/f1 /some/\n"
    ignored = "*/f*\n!d99/f9*\n!d5/f1?\n!d5/f1\n"
    context = Many({"Dockerfile": dockerfile, ".dockerignore": ignored})
    found = rig.look_all(rig.builder.build(context, report=Told()))
    assert sum(path.startswith("all/d99/") for path in found) == 111
    assert found["some/f999"].content == b"d99/f999"
    assert found["all/d5/f17"].content == b"d5/f17"
    assert "all/d6/f17" not in found


def test_names_in_any_bytes(rig: Rig) -> None:
    name = os.fsdecode(b"\xff\xfe caf\xc3\xa9\n")
    image = rig.build(FROM + "COPY d /d\n", {f"d/{name}": "x"})
    assert rig.look_all(image)[f"d/{name}"].content == b"x"


# -- links ---------------------------------------------------------------------------------


def test_the_images_links_never_lead_out_of_it(rig: Rig) -> None:
    """`/out`, `/climb` and `/lib` are links of the base image."""
    image = rig.build(
        FROM + "COPY a /out/1\nCOPY a /climb/2\nCOPY a /lib/3\nCOPY a /climb/n/4\nCOPY a /out\n",
        {"a": "A"},
    )
    found = rig.look_all(image)
    assert {"old/1", "old/2", "usr/lib/3", "old/n/4", "old/a"} <= set(found)
    assert found["out"].kind == found["climb"].kind == found["lib"].kind == "link"
    assert not Path("/old").exists()


def test_a_link_at_the_destination_is_written_through_but_one_below_is_replaced(rig: Rig) -> None:
    dockerfile = (
        FROM + "RUN ln -s /old/file /l && ln -s /old/file /home/l\nCOPY a /l\nCOPY d /home\n"
    )
    image = rig.build(dockerfile, {"a": "A", "d/l": "L"})
    found = rig.look_all(image)
    assert found["l"].kind == "link"
    assert found["old/file"].content == b"A"
    assert found["home/l"] == Seen("file", 0o644, (0, 0), b"L", TIME)


def test_what_is_in_the_way_is_said(rig: Rig) -> None:
    contents: dict[str, str | bytes] = {"a": "A", "d/x/y": "", "e/lib/f": "", "g/dir": ""}
    circle = "RUN ln -s x/../../l /l && ln -s ../m/y /m\n"
    assert "COPY: /x/../.. is no path of a file" in failure(rig, f"{circle}COPY a /l\n", contents)
    assert "too many symbolic links at /m" in failure(rig, f"{circle}COPY a /m\n", contents)
    assert failure(rig, "COPY a /old/file/x\n", contents) == (
        "COPY: cannot copy to non-directory: /old/file"
    )
    assert failure(rig, "COPY d /old/file\n", contents) == (
        "COPY: cannot copy to non-directory: /old/file"
    )
    assert failure(rig, "COPY e /\n", contents) == "COPY: cannot copy to non-directory: /lib"
    assert failure(rig, "COPY g /old\n", contents) == (
        "COPY: cannot replace to directory /old/dir with file"
    )


@pytest.mark.parametrize("target", ["/etc/passwd", "../../etc/passwd", "x/../../../etc/passwd"])
def test_a_link_out_of_the_context_is_refused(rig: Rig, target: str) -> None:
    contents: dict[str, str | bytes] = {"evil": f"-> {target}", "d/evil": f"-> {target}"}
    assert failure(rig, "COPY evil /e\n", contents) == (
        "COPY evil: the symbolic link evil leads out of the build context"
    )
    # In a directory it is copied as what it is: a link, which means the image's file.
    image = rig.build(FROM + "COPY d /d\n", contents)
    assert rig.look_all(image)["d/evil"].content == target.encode()


def test_a_parent_that_leads_out_is_refused(rig: Rig) -> None:
    contents: dict[str, str | bytes] = {"up": "-> ..", "abs": "-> /etc"}
    assert failure(rig, "COPY up/x /e\n", contents).startswith("COPY up/x: the symbolic link up ")
    assert failure(rig, "COPY abs/passwd /e\n", contents).startswith(
        "COPY abs/passwd: the symbolic link abs leads out"
    )
    assert failure(rig, "COPY ../../../etc/passwd /e\n", contents) == (
        'COPY: "/etc/passwd" is not in the build context'
    )


def test_a_named_link_within_the_context_is_followed(rig: Rig) -> None:
    contents = {"l": "-> d/f", "dl": "-> d", "d/f": "F", "x/up": "-> ../d"}
    image = rig.build(FROM + "COPY l /l\nCOPY dl/f /m\nCOPY dl /n\nCOPY x/up/f /o\n", contents)
    found = rig.look_all(image)
    assert [found[path].content for path in ("l", "m", "n/f", "o")] == [b"F"] * 4


def test_links_in_a_circle_are_said(rig: Rig) -> None:
    contents: dict[str, str | bytes] = {"a": "-> b", "b": "-> a"}
    assert "too many symbolic links" in failure(rig, "COPY a /a\n", contents)


# -- from stages -------------------------------------------------------------------------------


def test_owners_modes_links_and_hard_links_survive_a_copy_between_stages(rig: Rig) -> None:
    dockerfile = (
        FROM.replace("\n", " AS one\n") + "RUN mkdir -p /s/d && echo x > /s/f && ln /s/f /s/hard"
        " && ln -s f /s/soft && chmod 4755 /s/f && chown -R 7:8 /s && chmod 6711 /s/f"
        " && chmod 1770 /s/d\n"
        "FROM scratch\nCOPY --from=one /s /t\nCOPY --from=0 /s/soft /u\n"
        "COPY --from=one --chown=9 /s/f /v\nCOPY --from=one /out/file /climb/file /w/\n"
    )
    image = rig.build(dockerfile)
    found = rig.look_all(image)
    assert (found["t/f"].mode, found["t/f"].owner) == (0o6711, (7, 8))
    assert (found["t/d"].mode, found["t/d"].owner) == (0o1770, (7, 8))
    assert found["t/soft"].content == b"f"
    assert found["u"].content == b"x\n"
    assert found["v"].owner == (9, 9)
    assert found["w/file"].content == b"old\n"
    with rig.workspace.tree(image.layers) as root:
        assert (root / "t/f").stat().st_ino == (root / "t/hard").stat().st_ino


def test_file_capabilities_survive(rig: Rig) -> None:
    capability = bytes.fromhex("0100000200040000000000000000000000000000")

    def write(upper) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        (upper / "ping").write_text("x")
        os.setxattr(upper / "ping", "security.capability", capability)

    layer = rig.workspace.layer((), write)
    assert layer is not None
    image = rig.images.add(rig.images.resolve("paas/test-base:1").config, [layer])  # type: ignore[union-attr]
    rig.images.tag("paas/capable:1", image.id)
    copied = rig.build("FROM scratch\nCOPY --from=paas/capable:1 /ping /bin/ping\n")
    with rig.workspace.tree(copied.layers) as root:
        assert os.getxattr(root / "bin/ping", "security.capability") == capability


def test_what_a_stage_lacks_is_said(rig: Rig) -> None:
    with pytest.raises(StepFailed) as caught:
        rig.build("FROM paas/test-base:1 AS one\nFROM scratch\nCOPY --from=one /nope /x\n")
    assert caught.value.brief == 'Dockerfile:3: COPY: "/nope" is not in one'


# -- ADD -----------------------------------------------------------------------------------------


def archive(kind: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{kind}") as tar:  # type: ignore[call-overload]
        folder = tarfile.TarInfo("d")
        folder.type, folder.mode, folder.uid, folder.mtime = (
            tarfile.DIRTYPE,
            0o711,
            5,
            1_500_000_000,
        )
        tar.addfile(folder)
        for name, content, mode in (("x/f", b"F", 0o640), ("g", b"G", 0o644)):
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.uid, member.mtime = (
                len(content),
                mode,
                5,
                1_500_000_000,
            )
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["", "gz", "bz2", "xz"])
def test_add_unpacks_an_archive(rig: Rig, kind: str) -> None:
    data = archive(kind)
    image = rig.build(
        FROM + "ADD --chown=7 a.tar /u\nADD --unpack=false a.tar /plain\nCOPY a.tar /copied\n"
        "ADD t /old/\n",
        {"a.tar": data, "t": "text"},
    )
    found = rig.look_all(image)
    assert found["u/x/f"] == Seen("file", 0o640, (5, 0), b"F", 1_500_000_000)
    assert found["u/d"] == Seen("dir", 0o711, (5, 0), mtime=1_500_000_000)
    assert found["u/g"].content == b"G"
    assert found["u"].owner == (7, 7)
    assert found["plain"].content == found["copied"].content == data
    assert found["old/t"].content == b"text"


def test_a_hostile_archive_stays_within_the_image(rig: Rig) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("../../../../../../../../tmp/build-escaped")
        member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(Exception, match="climbs out"):
        rig.build(FROM + "ADD evil.tar /u\n", {"evil.tar": buffer.getvalue()})
    assert not Path("/tmp/build-escaped").exists()
    assert rig.leftovers() == []
