"""What the oldest of the other builders do not know: documents, --link, --exclude, --parents.

Beside each is the same in their words; the newer ones build it as it is.
"""

from tests.engine.build.corpus.case import FROM, NEWER, PLAIN, Case

KNOWS_EXCLUDE = ("buildah 1.39", "buildah 1.4")
KNOWS_PARENTS = ("buildah 1.4",)
"""Debian 13 has 1.39; docker's own frontend has no --parents up to 28.5.2."""

DOCUMENTS = Case(
    "documents",
    FROM
    + """\
RUN <<EOF
echo one > /h1
echo "$HOME \\$x" >> /h1
EOF
RUN cat <<EOF > /h2
with $HOME and "quotes"
EOF
RUN cat <<'EOF' > /h3
no $HOME
EOF
RUN <<-EOF
\techo tabs > /h4
\tcat <<-IN > /h5
\t\tin
\tIN
EOF
RUN <<A cat > /h6 && cat <<B > /h7
a
A
b
B
RUN <<EOF
#!/bin/busybox sh
echo script > /h8
EOF
RUN sh -e <<EOF
echo piped > /h9
EOF
RUN 3<<EOF cat <&3 > /fd
fd3
EOF
ARG V=val
COPY <<EOF /c1
text $V ${V} \\$V "q" 'q'
EOF
COPY <<'EOF' /c2
raw $V
EOF
COPY <<one <<two a.txt /c3/
1 $V
one
2
two
COPY --chown=me --chmod=600 <<EOF /c4/sub
x
EOF
COPY <<-EOF /c5
\ttab
\t  two
EOF
ADD <<robots.txt /c6/
User-agent: *
robots.txt
COPY <<EOF /empty
EOF
COPY <<"EOF" /dq
$V
EOF
""",
    {
        **PLAIN,
        "h/c1": "text val val $V \"q\" 'q'\n",
        "h/c2": "raw $V\n",
        "h/c3/a.txt": "A\n",
        "h/c3/one": "1 val\n",
        "h/c3/two": "2\n",
        "h/c5": "tab\n  two\n",
        "h/c6/robots.txt": "User-agent: *\n",
        "h/empty": "",
        "h/dq": "$V\n",
        "sub": "x\n",
    },
    older=FROM
    + """\
RUN echo one > /h1; echo "$HOME \\$x" >> /h1; echo "with $HOME and \\"quotes\\"" > /h2
RUN echo 'no $HOME' > /h3; echo tabs > /h4; echo in > /h5; echo a > /h6; echo b > /h7
RUN echo script > /h8; echo piped > /h9; echo fd3 > /fd
COPY h /
COPY --chown=me --chmod=600 sub /c4/sub
""",
    by=NEWER,
)
LINK = Case(
    "independent-layers",
    FROM
    + """\
COPY --link a.txt /l1
COPY --link --chown=7:8 dir /l2/
COPY --link dir /old
ADD --link b.txt /l3/
RUN ls /l1 /l2 > /seen
""",
    PLAIN,
    older=FROM
    + """\
COPY a.txt /l1
COPY --chown=7:8 dir /l2/
COPY dir /old
ADD b.txt /l3/
RUN ls /l1 /l2 > /seen
""",
    by=NEWER,
)
BELOW_THE_SOURCE = (
    "Patterns are for what is below a source, as in BuildKit (measured: docker 28.5.2); buildah's"
    " are for paths of the context."
)
NAMED = (
    "`--exclude=*.txt hom*` leaves out files that hom* names, as Docker's reference has it and"
    " buildah does; BuildKit leaves out only what is below a directory."
)
EXCLUDE = Case(
    "exclude",
    FROM
    + """\
COPY --exclude=*.txt dir other /e1/
COPY --exclude=sub dir /e2/
COPY --exclude=sub/two --exclude=one dir /e3/
COPY --exclude=**/one dir other /e4/
COPY --exclude=a.txt *.txt /e5/
COPY --exclude=dir/sub dir /e6/
""",
    PLAIN,
    older=FROM
    + """\
COPY dir other /e1/
COPY dir/one /e2/
COPY dir/sub/.hidden /e3/sub/
COPY dir/sub /e4/sub
COPY other/three /e4/
COPY b.txt with*.txt /e5/
COPY dir /e6/
""",
    by=(*KNOWS_EXCLUDE, "docker 28", "docker 29"),
    differs={
        builder: dict.fromkeys(
            (
                *("e2/sub", "e2/sub/.hidden", "e2/sub/two", "e3/one", "e3/sub/two"),
                *("e6/sub", "e6/sub/.hidden", "e6/sub/two"),
            ),
            BELOW_THE_SOURCE,
        )
        for builder in KNOWS_EXCLUDE
    }
    | {"docker 28": {"e5/a.txt": NAMED}, "docker 29": {"e5/a.txt": NAMED}},
)
PARENTS = Case(
    "parents",
    FROM
    + """\
COPY --parents dir/sub/two a.txt /p1/
COPY --parents dir/./sub/two /p2/
COPY --parents dir/*/two /p3/
COPY --parents ./dir/sub /p4/
COPY --parents **/one /p5/
""",
    {name: text for name, text in PLAIN.items() if "link" not in name},
    older=FROM
    + """\
COPY dir/sub/two /p1/dir/sub/two
COPY a.txt /p1/
COPY dir/sub/two /p2/sub/two
COPY dir/sub/two /p3/dir/sub/two
COPY dir/sub /p4/dir/sub
COPY dir/one /p5/dir/one
COPY other/one /p5/other/one
""",
    by=KNOWS_PARENTS,
)

CASES = (DOCUMENTS, LINK, EXCLUDE, PARENTS)
