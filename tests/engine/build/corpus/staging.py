"""FROM, stages, targets and triggers."""

from tests.engine.build.corpus.case import TREE, Case

STAGES = Case(
    "stages",
    """\
ARG BASE=paas/test-base:1
FROM ${BASE} AS maker
RUN mkdir -p /made/sub && echo f > /made/f && ln /made/f /made/hard && ln -s f /made/soft \\
 && chmod 4711 /made/f && chown -R 7:8 /made && mkdir -m 1777 /made/sticky
FROM scratch AS middle
COPY --from=maker /made /kept/
COPY --from=0 /made/f /kept/again
FROM maker AS unused
RUN exit 1
FROM scratch AS two-x.y_z
COPY --from=middle /kept/again /a
FROM two-x.y_z AS three
COPY --from=paas/test-base:1 /etc/group /g
FROM paas/test-base:1
COPY --from=middle / /from-middle/
COPY --from=maker --chown=1:2 /made/sub /made/f /chowned/
COPY --from=paas/test-base:1 /etc/passwd /from-image
COPY --from=maker /out/file /through-link
COPY --from=maker /made/* /star/
COPY --from=three / /three
""",
)
TARGET = Case(
    "a-target-in-the-middle",
    'FROM paas/test-base:1 AS one\nCMD ["inherited"]\nFROM one AS two\nENTRYPOINT ["/e"]\n'
    "FROM two\nRUN exit 1\n",
    target="two",
)
FIFO = Case(
    "a-fifo-of-a-stage",
    "FROM paas/test-base:1 AS s\nRUN mkdir /f && busybox mkfifo /f/fifo\n"
    "FROM scratch\nCOPY --from=s /f /f\n",
    differs={"docker 20.": {"f/fifo": "this BuildKit leaves it out"}},
)
TRIGGERS = Case(
    "onbuild-of-a-stage",
    "FROM paas/test-base:1 AS base\nONBUILD COPY a.txt /triggered\nONBUILD ARG WHAT=default\n"
    "ONBUILD RUN echo $WHAT > /ran\nONBUILD ENV T=1\nONBUILD WORKDIR /tmp/w\nONBUILD USER me\n"
    "RUN echo early > /early\n"
    "FROM base\nRUN ls /triggered > /tmp/after; pwd >> /tmp/after; id -un >> /tmp/after\n",
    TREE,
    args={"WHAT": "given"},
)

CASES = (STAGES, TARGET, FIFO, TRIGGERS)
