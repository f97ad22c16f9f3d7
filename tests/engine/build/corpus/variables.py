"""ENV and ARG: words, quotes, scopes, and which of the two counts."""

from tests.engine.build.corpus.case import FROM, NEWER, Case

INHERITED = "a stage has the arguments of the stage it stands on (Dockerfile reference, ARG, Scope)"

WORDS = Case(
    "words-of-env",
    FROM
    + """\
ENV A=1 B="two words" C='sing $A' D=a\\ b E="esc \\" q" F=\\$A G="\\$A" K=
ENV H=$A$B I=${A}x J="${A}-${B}"
ENV OLD value with   spaces  and $A
ENV OLDQ "quoted value"
ENV M1=${NONE:-def} M2=${A:-def} M3=${A:+alt} M4=${NONE:+alt} M5=${K:-blank}
ENV M6=${NONE:-"q d"} M7=${NONE:-${A}}
ENV ${A}key=v X_$A=w
ENV Q=a"b c"d R='a'"b"c S="it's" T='say "x"' U=\\" V=a\\\\b W="a\\\\b" X="a\\nb" Y='a\\nb' Z=a\\nb
ENV P1=/a:/b
ENV P2=$P1:/c PATH=$PATH:/more
ENV EQ=a=b=c EQQ="x=y" UNI=é☃ TAB="a\tb"
ENV abc=hello
ENV abc=bye def=$abc
ENV ghi=$abc
RUN env | grep -E '^[A-Z][A-Z0-9]?=|^M|ghi' > /env
""",
)
PATTERNS = Case(
    "patterns-in-variables",
    FROM
    + """\
ENV P=a/b/c.tar.gz K=
ENV A=${P#*/} B=${P##*/} C=${P%.*} D=${P%%.*} E=${P/b/X} F=${P//\\//-} G=${P/nothing/x}
ENV H=${P#a} I=${P%gz} J=${P/a?b/_} N1=${K-unset} N2=${NONE-unset} N3=${K+set} N4=${P?no}
""",
    older=FROM
    + """\
ENV P=a/b/c.tar.gz K=
ENV A=b/c.tar.gz B=c.tar.gz C=a/b/c.tar D=a/b/c E=a/X/c.tar.gz F=a-b-c.tar.gz G=$P
ENV H=/b/c.tar.gz I=a/b/c.tar. J=_/c.tar.gz N1= N2=unset N3=set N4=$P
""",
    by=NEWER,
)
ARGUMENTS = Case(
    "words-of-arguments",
    FROM
    + """\
ARG A=1 B="two words" C
ARG D=$A-x E='${A}' F=${A:-no} G=${NOPE:-dflt}
ARG TARGETARCH
ARG TARGETOS TARGETPLATFORM BUILDPLATFORM BUILDARCH
RUN echo "$A|$B|[$C]|$D|$E|$F|$G|$TARGETARCH|$TARGETOS|$TARGETPLATFORM|$BUILDARCH" > /args
ARG A=again
RUN echo $A > /again
ARG GIVEN
ARG EMPTY=default
RUN echo "$GIVEN [$EMPTY]" > /given
ENV GIVEN=$GIVEN
ARG HTTPS_PROXY
RUN echo $HTTP_PROXY $HTTPS_PROXY > /proxies
LABEL g=$GIVEN u=$UNDECLARED
USER ${NOBODY:-me}
""",
    args={
        "GIVEN": "given value",
        "EMPTY": "",
        "UNDECLARED": "x",
        "HTTP_PROXY": "http://proxy.test:1",
        "HTTPS_PROXY": "http://proxy.test:2",
    },
)
SCOPES = Case(
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
ENV KEPT=$LOCAL
RUN echo "$GLOBAL $TAG $LOCAL $GIVEN [$EMPTY] [$UNUSED]" > /one
FROM one AS two
RUN echo "[$GLOBAL] [$LOCAL] $KEPT" > /two
ARG LOCAL=changed
FROM two
RUN echo "$LOCAL" > /three
ARG GIVEN
LABEL given=$GIVEN none=$LOCAL
COPY ${GIVEN}.txt /by-arg
FROM paas/test-base:1
COPY --from=2 /one /two /three /by-arg /
RUN echo "[$LOCAL] [$GLOBAL]" > /elsewhere
""",
    {"a.txt": "A"},
    args={"GIVEN": "a"},
    differs={"buildah": {"two": INHERITED, "three": INHERITED}},
)
ENV_AND_ARG = Case(
    "which-of-env-and-arg",
    FROM
    + """\
ARG X=arg
ENV X=env
ENV Y=env
ARG Y=arg
ARG Z=1
ENV Z=${Z}2
ARG GIVEN
ENV GIVEN=env
LABEL x=$X y=$Y z=$Z given=$GIVEN
RUN echo "$X $Z $GIVEN" > /first
RUN echo "$Y" > /second
""",
    args={"GIVEN": "given", "Y": "given"},
    differs={
        "docker": {
            "second": "ENV always wins (Dockerfile reference); in BuildKit the last one does",
            "labels": "the same",
        }
    },
)
ARG_IN_FROM = Case(
    "arguments-in-from",
    """\
ARG NAME=test-base
ARG TAG=${NAME:+1}
ARG STAGE=start
FROM paas/${NAME}:$TAG AS start
RUN echo x > /x
FROM ${STAGE:-none}
COPY --from=start /x /y
""",
    older="FROM paas/test-base:1 AS start\nRUN echo x > /x\nFROM start\nCOPY --from=start /x /y\n",
    by=("docker", "buildah 1.3", "buildah 1.4"),
)

CASES = (WORDS, PATTERNS, ARGUMENTS, SCOPES, ENV_AND_ARG, ARG_IN_FROM)
