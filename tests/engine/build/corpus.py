"""Dockerfiles that use every instruction and its corners, with the context of each.

Each is built by our builder and by buildah, and the two images are compared. `differs`
names paths and fields in which ours is another one on purpose, with the reason.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

FROM = "FROM paas/test-base:1\n"


@dataclass(frozen=True)
class Case:
    """One build. `prepare` makes what a mapping of texts cannot say."""

    name: str
    dockerfile: str
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    args: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    prepare: Callable[[Path], None] = lambda _: None
    differs: Mapping[str, str] = field(default_factory=dict)

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
                path.write_text(content)
                path.chmod(0o755 if content.startswith("#!") else 0o644)
        self.prepare(folder)


def archive(kind: str) -> bytes:
    """A tar with a directory, two owners, a setuid file, links, and a name beyond ASCII."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{kind}", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]

        def add(name: str, mode: int, kind: bytes = tarfile.REGTYPE, **more: object) -> None:
            member = tarfile.TarInfo(name)
            member.mode, member.type, member.mtime = mode, kind, 1_500_000_000
            for key, value in more.items():
                setattr(member, key, value)
            data = b"" if kind != tarfile.REGTYPE else name.encode()
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))

        add("top", 0o711, tarfile.DIRTYPE, uid=3, gid=4)
        add("top/file", 0o640, uid=1000, gid=50)
        add("top/suid", 0o4755)
        add("top/näme", 0o644)
        add("top/soft", 0o777, tarfile.SYMTYPE, linkname="file")
        add("top/away", 0o777, tarfile.SYMTYPE, linkname="/etc/passwd")
        add("top/hard", 0o640, tarfile.LNKTYPE, linkname="top/file", uid=1000, gid=50)
        add("made/for/it", 0o600)
    return buffer.getvalue()


TREE: Mapping[str, str | bytes] = {
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

CONFIGURED = Case(
    "every-configuring-instruction",
    FROM
    + """\
# a comment
MAINTAINER Some One <one@example.com>
ARG WHO=me
ENV A=1 B="two words" C=$A
ENV D ${A}-$C-\\$A 'x'
ENV PATH=/opt/bin:$PATH E=${NONE:-default} F=${A:+set} G="${B}"
LABEL one=1 "two words"="a b" three="x \\
y" four=${A}
LABEL one=overwritten
EXPOSE 80 443/tcp 53/udp
EXPOSE ${A}000
VOLUME /data
VOLUME ["/one", "/two words"]
WORKDIR /srv
WORKDIR app
WORKDIR ../${WHO}
USER me:staff
STOPSIGNAL SIGQUIT
SHELL ["/bin/sh", "-ec"]
HEALTHCHECK --interval=5m --timeout=3s --start-period=1s --retries=2 CMD wget -q http://$A/ || false
ENTRYPOINT ["/bin/run", "$A"]
CMD echo "$A" done
""",
    differs={
        "cmd": "SHELL is for CMD too (Dockerfile reference); this buildah does not know",
    },
)

COPIES = Case(
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
COPY --chmod=4755 run.sh /setuid
COPY --chmod=700 dir /mode-dir
COPY --chown=5:6 --chmod=640 a.txt /new/parents/file
COPY --chown=5:6 dir /old/dir
USER me
WORKDIR /owned/by/me
COPY a.txt .
RUN echo x > mine
USER root
ADD --chown=3:4 dir /added
""",
    TREE,
    differs={
        "mode-dir": "--chmod is for the directory itself too, as in BuildKit",
    },
)

STAGES = Case(
    "stages",
    """\
ARG BASE=paas/test-base:1
FROM ${BASE} AS maker
RUN mkdir -p /made/sub && echo f > /made/f && ln /made/f /made/hard && ln -s f /made/soft \\
 && chmod 4711 /made/f && chown -R 7:8 /made && mkdir -m 1777 /made/sticky && mkfifo /made/fifo
FROM scratch AS middle
COPY --from=maker /made /kept/
COPY --from=0 /made/f /kept/again
FROM maker AS unused
RUN exit 1
FROM paas/test-base:1
COPY --from=middle / /from-middle/
COPY --from=maker --chown=1:2 /made/sub /made/f /chowned/
COPY --from=paas/test-base:1 /etc/passwd /from-image
COPY --from=maker /out/file /through-link
COPY --from=maker /made/* /star/
""",
)

TARGET = Case(
    "a-target-in-the-middle",
    FROM.replace("\n", " AS one\n") + 'CMD ["inherited"]\nFROM one AS two\nENTRYPOINT ["/e"]\n'
    "FROM two\nRUN exit 1\n",
    target="two",
)

ARGUMENTS = Case(
    "scopes-of-arguments",
    """\
ARG TAG=1
ARG UNUSED=x
ARG GLOBAL=global
FROM paas/test-base:${TAG} AS one
ARG GLOBAL
ARG TAG
ARG LOCAL=local
ARG GIVEN=default
ARG EMPTY
ENV KEPT=$LOCAL SHADOWED=env
ARG SHADOWED=arg
RUN echo "$GLOBAL $TAG $LOCAL $GIVEN [$EMPTY] $SHADOWED [$UNUSED]" > /one
FROM one
RUN echo "[$GLOBAL] [$LOCAL] $KEPT" > /two
ARG GIVEN
RUN echo "$GIVEN" > /three
LABEL given=$GIVEN none=$LOCAL
COPY ${GIVEN}.txt /by-arg
""",
    {"a.txt": "A"},
    args={"GIVEN": "a"},
    differs={},
)

RUNS = Case(
    "what-commands-leave",
    FROM
    + """\
RUN mkdir -p /r/a/b && echo 1 > /r/a/1 && chmod 2750 /r/a && chown 3:4 /r/a/1
RUN rm -r /old && mkdir /old && echo new > /old/new
RUN rm /etc/group
RUN ln /r/a/1 /r/hard && ln -s /r/a /r/soft && mv /r/a/b /r/moved && chmod 0 /home
RUN ["/bin/sh", "-c", "echo exec > /exec"]
RUN echo one \\
  # a comment within
  && echo two > /continued
SHELL ["/bin/busybox", "sh", "-c"]
RUN echo $0 > /shell
USER me
RUN id -un > /tmp/id; id -g >> /tmp/id; pwd > /tmp/pwd; umask > /tmp/umask; echo $HOME > /tmp/home
""",
)

ADDS = Case(
    "archives",
    FROM
    + """\
ADD plain.tar /plain/
ADD packed.tar.gz /gz
ADD packed.tar.bz2 packed.tar.xz /both/
ADD packed.tar.gz a.txt /mixed/
COPY packed.tar.gz /kept/
ADD a.txt /add/name
ADD not-a.tar.gz /still/
ADD dir /add/dir
ADD --chown=me plain.tar /owned/
""",
    {
        **TREE,
        "plain.tar": archive(""),
        "packed.tar.gz": archive("gz"),
        "packed.tar.bz2": archive("bz2"),
        "packed.tar.xz": archive("xz"),
        "not-a.tar.gz": "not an archive\n",
    },
    differs={
        f"owned/{path}": "--chown is for what is in an archive too, as in BuildKit"
        for path in (
            *("made/for/it", "top", "top/away", "top/file", "top/hard"),
            *("top/näme", "top/soft", "top/suid"),
        )
    },
)

IGNORED = Case(
    "dockerignore",
    FROM + "COPY . /all/\nCOPY dir /dir/\n",
    {
        **TREE,
        ".dockerignore": "# comment\n*.txt\n!b.txt\ndir/sub\n!dir/sub/two\n**/*.log\n/other/\n"
        "  empty  \nDockerfile\n\n!other/three\n",
        "x.log": "",
        "dir/deep/y.log": "",
        "dir/deep/z": "z",
    },
)

ESCAPED = Case(
    "escape-directive",
    "# escape=`\n# another comment\n"
    + FROM
    + "ENV A=`$B C=x`\n  D=y\nRUN echo one `\n && echo C:\\dir > /file\nWORKDIR /a\\b\n"
    'CMD ["x", "a"]\n',
    differs={
        "a\\b": "the escape character counts in words too (Dockerfile reference)",
        "ab": "the same",
        "workdir": "the same",
        "env": "the same",
    },
)

TRIGGERS = Case(
    "onbuild-of-a-stage",
    "FROM paas/test-base:1 AS base\nONBUILD COPY a.txt /triggered\n"
    "ONBUILD RUN echo x > /ran\nONBUILD ENV T=1\nRUN echo early > /early\n"
    "FROM base\nRUN ls /triggered > /after\n",
    TREE,
)

OVERRIDES = Case(
    "the-last-one-counts",
    FROM + 'CMD one\nCMD ["two", "x"]\nENTRYPOINT shell form\nENTRYPOINT []\nUSER 1\nUSER me\n'
    "HEALTHCHECK CMD x\nHEALTHCHECK NONE\nSTOPSIGNAL 9\nSTOPSIGNAL SIGTERM\n"
    "ENV A=1\nENV A=2 B=$A\nLABEL a=1\nLABEL a=\n",
)

ONTO = Case(
    "onto-what-is-there",
    FROM
    + """\
RUN mkdir -p /d/sub && echo old > /d/one && echo keep > /d/keep && chmod 711 /d /d/sub \\
 && ln -s one /d/link && mkdir /real && ln -s /real /d/to-dir && chown 9:9 /d
COPY dir /d
COPY a.txt /d/link
COPY a.txt /d/to-dir
COPY other /d/to-dir/
COPY a.txt /d/sub
""",
    {key: value for key, value in TREE.items() if key not in ("dir/link",)},
    differs={
        "d/link": "a link at the destination is written through, as in Docker and BuildKit",
        "d/one": "the same",
    },
)

MOUNTS = Case(
    "mounts",
    "FROM paas/test-base:1 AS made\nRUN echo made > /made\n"
    + FROM
    + "RUN --mount=type=bind,source=dir,target=/m"
    " --mount=type=bind,from=made,source=/made,target=/n cat /m/one /n > /read\n"
    "RUN --mount=type=tmpfs,target=/t echo x > /t/x\n"
    "RUN --mount=type=cache,target=/cached echo x > /cached/x\n",
    TREE,
)

CORPUS = (
    CONFIGURED, COPIES, OWNERS, STAGES, TARGET, ARGUMENTS, RUNS, ADDS, IGNORED, ESCAPED,
    TRIGGERS, OVERRIDES, ONTO, MOUNTS,
)  # fmt: skip
