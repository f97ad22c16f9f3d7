"""COPY: sources, destinations, owners, modes, links."""

import os
from pathlib import Path

from tests.engine.build.corpus.case import FROM, PLAIN, TREE, Case

BITS = "setuid and setgid are the context's, as in BuildKit"


def modes(folder: Path) -> None:
    """Files and directories of many modes, and names of every kind."""
    (folder / "m").mkdir()
    for mode in (0o400, 0o600, 0o644, 0o755, 0o4755, 0o2711, 0o1777, 0o666, 0o444):
        (folder / f"m/f{mode:o}").write_text("x")
        (folder / f"m/f{mode:o}").chmod(mode)
    for mode in (0o700, 0o711, 0o2775, 0o1777, 0o555):
        (folder / f"m/d{mode:o}").mkdir()
        (folder / f"m/d{mode:o}").chmod(mode)
    (folder / "m").chmod(0o711)
    for name in ("a?b", "axb", "ü"):
        (folder / name).write_text(name)
    (folder / "bytes").mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/bytes/\xff\xfe")).write_text("any")


def linked(folder: Path) -> None:
    """A file with two names."""
    (folder / "two").mkdir()
    (folder / "two/first").write_text("x")
    (folder / "two/second").hardlink_to(folder / "two/first")


DESTINATIONS = Case(
    "where-copies-go",
    FROM
    + """\
COPY a.txt /file
COPY a.txt b.txt /many/
COPY *.txt /globs/
COPY [ab].txt /classes/
COPY ["with space.txt", "/json form/"]
COPY dir /contents
COPY dir other /merged/
COPY dir/* /star/
COPY empty /empty
COPY links /links/
COPY top-link /followed
COPY dir-link /followed-dir
COPY a.txt /old/file
COPY a.txt /old
COPY a.txt /old/dir
COPY a.txt /out/through
COPY b.txt /lib/through
COPY dir /old/dir
COPY b.txt /climb/there
WORKDIR /w
COPY a.txt .
COPY a.txt ../up
COPY . /everything/
""",
    TREE,
)
SHAPES = Case(
    "how-sources-are-written",
    FROM
    + """\
COPY a.txt /new/dir/
COPY a.txt /x/y/z
COPY dir/ /d1
COPY dir/. /d2
COPY ./dir /d3/
COPY /dir /d4
COPY ../dir /d5
COPY dir/sub/../one /d6
COPY . /all
COPY dir* /multi/
COPY dir/*/two /stars/
COPY d?r/on* /q/
COPY [a-b].txt [^a].txt /cls/
COPY dir/sub/.h* /hid/
COPY a.txt nothing*.zip /one-of-two/
ENV S=a T=/to SP="/sp ace"
ARG X=dir
COPY ${S}.txt $T/
COPY $X ${T}/$X/
COPY ["$S.txt", "$T/json"]
COPY a.txt "$SP/"
WORKDIR /wd
COPY a.txt ./sub/
COPY a.txt sub2/f
COPY a.txt ..
COPY a.txt ./
COPY Dockerfile .dockerignore /context/
""",
    {**TREE, ".dockerignore": "# nothing\n"},
)
LINKS = Case(
    "links-in-the-context",
    FROM
    + """\
COPY links/up /up
COPY dir/link /l1
COPY dir/link /l2/
COPY dir-link/ /dl/
COPY dir-link/one /dlo
COPY dir/to-sub /ts
COPY dir/to-sub/two /tst
COPY dir /with-links
COPY links /lnk
COPY *-link /gl/
""",
    TREE,
)
ONTO = Case(
    "onto-what-is-there",
    FROM
    + """\
RUN mkdir -p /d/sub /e/sub/keep /t && echo old > /d/one && echo keep > /d/keep && chmod 711 /d
RUN chmod 711 /d/sub && ln -s /t /real && chown 9:9 /d && ln -s /e /le && echo o > /e/one
RUN chmod 700 /e && chown 3:4 /e && ln -s /real /d/to-dir
COPY dir /d
COPY a.txt /d/to-dir
COPY other /d/to-dir/
COPY a.txt /d/sub
COPY dir /le
COPY dir/sub /e/sub
COPY a.txt /le/
COPY b.txt /e/one
COPY a.txt /e
COPY a.txt b.txt /real/
""",
    PLAIN,
)
THROUGH = Case(
    "through-links-at-the-destination",
    FROM + "RUN mkdir /d && echo 1 > /d/one && ln -s one /d/link && ln -s deep/er /d/far\n"
    "COPY a.txt /d/link\nCOPY b.txt /nowhere\nCOPY dir /d/far\n",
    PLAIN,
    differs={
        "buildah": {
            "d/link": "a link at the destination is written through, as in BuildKit",
            "d/one": "the same",
            "not/there": "the same",
            "not/there/b.txt": "the same",
        }
    },
)
OWNERS = Case(
    "owners-and-modes",
    FROM
    + """\
COPY --chown=me a.txt /by-name
COPY --chown=me:staff a.txt /by-names
COPY --chown=1000 a.txt /by-id
COPY --chown=7:8 a.txt /by-ids
COPY --chown=:staff a.txt /group-alone
COPY --chown=me:9 dir /dir
COPY --chmod=0751 a.txt /mode
COPY --chmod=700 dir /mode-dir
COPY --chown=5:6 --chmod=640 a.txt /new/parents/file
COPY --chown=5:6 dir /old/dir
ENV O=me:staff
COPY --chown=$O a.txt /by-variable
COPY --chown=me:0 a.txt /name-and-number
COPY --chown=1234:5678 dir /3/
COPY --chown=1234 dir/one /p/q/r
COPY --chown=me dir other /5/
COPY --chown=me empty /6
COPY --chown=me a.txt /old/file
COPY --chmod=711 dir /7/
COPY --chmod=700 dir other /8/
COPY --chmod=700 dir /old
COPY --chmod=1777 empty /9
COPY --chmod=400 links /10
COPY --chmod=000 a.txt /11
USER me
WORKDIR /owned/by/me
COPY a.txt .
RUN echo x > mine
USER root
ADD --chown=3:4 dir /added
ADD --chown=7:8 --chmod=0600 a.txt /added-file
""",
    TREE,
)
SPECIAL_MODES = Case(
    "special-modes",
    FROM + "COPY --chmod=4755 run.sh /setuid\nCOPY --chmod=2755 a.txt /setgid\n",
    TREE,
    differs={"docker 20.": {"setuid": "this BuildKit loses the bits", "setgid": "the same"}},
)
MODES = Case(
    "modes-and-names-of-the-context",
    FROM
    + """\
COPY m /m
COPY m/d700 m/d1777 m/f4755 /mix/
COPY m /old/dir/
COPY m/* /star/
COPY bytes /bytes/
COPY a?b /w1/
COPY ü /w3
""",
    prepare=modes,
    differs={
        "buildah": {
            f"{place}/{name}": BITS
            for place in ("m", "star", "old/dir")
            for name in ("f2711", "f4755", *(("d2775",) if place != "star" else ()))
        }
        | {"mix/f4755": BITS}
    },
)
NAMES = Case(
    "names-that-are-patterns",
    FROM
    + """\
COPY ["weird [[]x]", "/w1/"]
COPY ["a\\\\?b", "/w2/"]
COPY ["weird [[]x]/fi\\\\*le", "/w3"]
COPY back* /w4/
""",
    {
        **{"weird [x]/fi*le": "1", "a?b": "2", "back\\slash": "3"},
        **{"as/w1/fi*le": "1", "as/w2/a?b": "2", "as/w3": "1", "as/w4/back\\slash": "3"},
    },
    older=FROM + "COPY as /\n",
    by=("docker",),  # buildah 1.39 takes the backslash that `back*` finds for a quoting one.
)
HARD_LINKS = Case(
    "hard-links-of-the-context",
    FROM + "COPY two /two\n",
    prepare=linked,
    differs={"": dict.fromkeys(("two/first", "two/second"), "a commit knows no second names")},
)
FROM_STAGE = Case(
    "from-a-stage",
    """\
FROM paas/test-base:1 AS s
RUN mkdir -p /s/d && echo 1 > /s/d/f && chmod 2751 /s/d && chown 3:4 /s/d/f /s/d && \\
  ln /s/d/f /s/hard && ln /s/d/f /s/d/hard2
RUN ln -s f /s/d/rel && ln -s /s/d /s/abs && ln -s ../../etc /s/d/up && mkdir -m 1777 /x
RUN echo 1 > /x/f && chmod 4755 /x/f
WORKDIR /s
FROM scratch
COPY --from=s /s/abs /a1
COPY --from=s /s/abs/ /a2/
COPY --from=s /s/d/rel /r1
COPY --from=s s/d /rel/
COPY --from=s /s/* /g/
COPY --from=s /s /whole
COPY --from=s /s/hard /s/d/f /two/
COPY --from=s --chown=9:8 --chmod=640 /s/d /cm
COPY --from=s /etc/pass* /etc/gr?up /e/
COPY --from=s /out/dir /through
COPY --from=s /x /x
COPY --from=s /x/f /y
COPY --from=s --chown=7:7 /x/f /z
""",
)

CASES = (
    DESTINATIONS, SHAPES, LINKS, ONTO, THROUGH, OWNERS, SPECIAL_MODES, MODES, NAMES, HARD_LINKS,
    FROM_STAGE,
)  # fmt: skip
