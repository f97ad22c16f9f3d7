"""What an image says of how it is run."""

from tests.engine.build.corpus.case import FROM, Case

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
y" four=${A} com.example.x-y_z='dots' e= q="a\\"b" single='$PATH' esc=\\$A
LABEL old style words
LABEL one=overwritten
EXPOSE 80 443/tcp 53/udp 9/sctp
EXPOSE ${A}000 80
VOLUME /data
VOLUME ["/one", "/two words", "$A/x"]
WORKDIR /srv
WORKDIR app
WORKDIR ../${WHO}
USER me:staff
STOPSIGNAL SIG${SIGNAL:-QUIT}
SHELL ["/bin/sh", "-ec"]
HEALTHCHECK --interval=5m --timeout=3s --start-period=1s --retries=2 CMD wget -q http://$A/ || false
ENTRYPOINT ["/bin/run", "$A"]
CMD echo "$A" done
""",
    differs={
        "buildah": {
            "cmd": "SHELL is for CMD too (Dockerfile reference); this buildah does not know",
        }
    },
)
OVERRIDES = Case(
    "the-last-one-counts",
    FROM + 'CMD one\nCMD ["two", "x"]\nENTRYPOINT shell form\nENTRYPOINT []\nUSER 1\nUSER me\n'
    "HEALTHCHECK CMD x\nHEALTHCHECK NONE\nSTOPSIGNAL 9\nSTOPSIGNAL SIGTERM\n"
    "ENV A=1\nENV A=2 B=$A\nLABEL a=1\nLABEL a=\n",
)
SHELLS = Case(
    "shells",
    FROM
    + """\
SHELL ["/bin/sh", "-xc"]
RUN echo $0 $- > /one
SHELL ["/bin/busybox", "sh", "-c"]
RUN echo $- > /two
RUN ["/bin/sh", "-c", "echo exec $- > /three"]
ENTRYPOINT the shell's
HEALTHCHECK --interval=1m30s --start-period=500ms CMD ["curl", "-f", "http://$HOST/"]
STOPSIGNAL SIGRTMIN+3
""",
    differs={"buildah": {"entrypoint": "SHELL is for ENTRYPOINT too (Dockerfile reference)"}},
)
PORT_RANGES = Case(
    "ranges-of-ports",
    FROM + "ENV P=8080\nEXPOSE 8000-8003 7000-7001/udp $P ${P}/udp\nEXPOSE 81/TCP\n",
    differs={"buildah": {"ports": "a range is its ports, as in Docker"}},
)
ENTRYPOINTS = Case(
    "an-entrypoint-resets-the-command-below",
    'FROM paas/test-base:1 AS a\nENTRYPOINT ["e"]\nCMD ["c"]\nFROM a AS b\nENTRYPOINT ["e2"]\n'
    'FROM b\nCMD ["c3"]\nENTRYPOINT ["e3"]\n',
)
RESET = Case("an-entrypoint-resets-the-base's-command", FROM + 'ENTRYPOINT ["e"]\nCMD []\n')
QUOTED = Case(
    "quotes-are-removed",
    FROM + 'WORKDIR "/q"\nWORKDIR \'/single quoted\'\nUSER "me"\nSTOPSIGNAL "SIGINT"\n',
)
KEPT_TRIGGERS = Case(
    "triggers-are-kept",
    FROM + 'ONBUILD ADD . /y\nONBUILD ENV A=1  B="x y"\nONBUILD ENTRYPOINT ["x"]\n',
)

CASES = (
    CONFIGURED, OVERRIDES, SHELLS, PORT_RANGES, ENTRYPOINTS, RESET, QUOTED, KEPT_TRIGGERS,
)  # fmt: skip
