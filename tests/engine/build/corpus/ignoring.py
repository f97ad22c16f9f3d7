""".dockerignore: patterns, exceptions, and what of it the Dockerfile still sees."""

from tests.engine.build.corpus.case import FROM, TREE, Case

ALL = FROM + "COPY . /x/\n"

USUAL = Case(
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
EXCEPTIONS = Case(
    "dockerignore-that-allows",
    ALL,
    {**TREE, ".dockerignore": "*\n!dir\ndir/sub\n!dir/sub/two\n!*.txt\nb.txt\n"},
)
DEEP = Case(
    "dockerignore-deep",
    ALL + "COPY p /p/\n",
    {
        **{name: name for name in ("p/a/1", "p/a/2", "p/b/1", "p/b/c/1", "q/1", ".hid")},
        **{name: name for name in ("x.log", "p/x.log", "p/b/y.log", "a/b/c/d", "a/b/e", "a/f")},
        ".dockerignore": "**/*.log\n!p/x.log\np/*/1\n!p/b/1\n**/c\n.hid\n/q/\na\n!a/b/c/d\n",
    },
)
WINDOWS = Case(
    "dockerignore-of-windows",
    ALL,
    {**TREE, ".dockerignore": "\ufeff# c\r\n*.txt\r\n!b.txt\r\n dir \r\n"},
)
PATTERNS = Case(
    "dockerignore-patterns",
    ALL,
    {
        **dict.fromkeys(("ab", "a.b", "axb", "f1", "f2", "fx", "d/f1", "d/e/f1", "!bang"), "x"),
        **dict.fromkeys(("#hash", "s p", "t/u/v/w", "t/v", "foo/bar", "foobar", "g/1"), "x"),
        **dict.fromkeys(("g/e/2", "h/1", "i/1", "j"), "x"),
        ".dockerignore": "a?b\nf[0-1]\n\\!bang\n\\#hash\nt/**/v\nfoo/\ns p\ng/**\n!g/e\n./h\n"
        "/i/1\n../j\n",
    },
)

CASES = (USUAL, EXCEPTIONS, DEEP, WINDOWS, PATTERNS)
