"""Our grammar of Dockerfiles says of every text what moby's parser says of it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from paas.engine.build import grammar

FIXTURES = Path(__file__).parents[1] / "fixtures"

KEYWORDS = [
    *("FROM", "RUN", "COPY", "ADD", "ENV", "LABEL", "ARG", "CMD", "ENTRYPOINT", "EXPOSE"),
    *("HEALTHCHECK", "ONBUILD", "SHELL", "USER", "VOLUME", "WORKDIR", "STOPSIGNAL"),
    *("MAINTAINER", "from", "Copy", "FOO"),
]
PIECES = [
    *(" ", "  ", "\t", "\n", "\n\n", "\r\n", "\u2003", "\x85", "\xa0", "\x1c", "\v", "\f"),
    *("\\", "\\\n", "\\ \n", "\\\\", '\\"', "`", "`\n", "'", '"', "=", "$", "${x}", "<", ",", "-"),
    *("a", "b c", "a=b", 'x="y z"', "é", "à", "NONE", "CMD", "RUN"),
    *("<<", "<<E", "<<-E", "<<'E'", '<<"E F"', "2<<E", "E", "\nE\n", "\n\tE\n", "\nE F\n"),
    *("--", "--a", "--a=b", "--a='b c'", "--à x"),
    *('["a", "b"]', ' ["\\u00e9"]', '["\\ud800"]', '["a"', "[1]", "[1e999]", "[]"),
    *("#", "# c\n", "# escape=`\n", "#syntax=x\n"),
]

instructions = st.builds(
    lambda keyword, gap, pieces, end: keyword + gap + "".join(pieces) + end,
    st.sampled_from(KEYWORDS),
    st.sampled_from([" ", " ", " ", "\t", ""]),
    st.lists(st.sampled_from(PIECES), max_size=8),
    st.sampled_from(["\n", "\n", ""]),
)
dockerfiles = st.builds(
    lambda header, lines: header + "".join(lines),
    st.sampled_from(["", "", "# escape=`\n", "# syntax=a\n#escape = \\ \n", "# x=y\n# escape=`\n"]),
    st.lists(instructions, min_size=1, max_size=3),
)


def described(parser: Any, text: str) -> object:
    """What a parser says: its error, or all that it tells of each instruction."""
    try:
        commands = parser.parse_string(text)
    except UnicodeDecodeError:
        return None  # the package cut a character in two
    except ValueError as error:
        return str(error)
    return [
        (
            *(one.cmd, one.sub_cmd, one.json, one.original, one.start_line, one.end_line),
            *(tuple(one.flags), tuple(one.value)),
            [(document.name, document.file_descriptor, document.content)
             for document in one.heredocs],
        )
        for one in commands
    ]  # fmt: skip


@pytest.fixture(scope="module")
def moby() -> Any:
    return importlib.import_module("dockerfile")


@settings(max_examples=1500, deadline=None)
@given(text=dockerfiles)
@example(text="")
@example(text="RUN " + "x" * 65530)
@example(text="RUN " + "x" * 65532)
@example(text="FROM a\nRUN " + "x" * 70000)
@example(text="RUN ${x:-y z} <<E\nE")
@example(text="RUN it's <<E\nx\nE")
@example(text="ONBUILD RUN <<E\nx\nE\n")
@example(text="RUN <<A 3<<B\n1\nA\n2\nB\n")
@example(text="RUN <<-E\n\tx\n\tE\nRUN y")
@example(text="RUN a \\\n\n # c\n  d\n")
def test_every_text_means_the_same(moby: Any, text: str) -> None:
    said = described(moby, text)
    if said is not None:
        assert described(grammar, text) == said


@pytest.mark.parametrize(
    "path", sorted(FIXTURES.rglob("Dockerfile*")), ids=lambda path: path.parent.name
)
def test_every_fixture_means_the_same(moby: Any, path: Path) -> None:
    text = path.read_text("utf-8", "replace")
    assert described(grammar, text) == described(moby, text)
