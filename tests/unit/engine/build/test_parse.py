"""The door to the parser: what it cannot take is refused here, with file and line."""

import importlib

import pytest

from paas.engine.build.errors import DockerfileError
from paas.engine.build.parse import MAX_BYTES, parse


def failure(data: bytes) -> str:
    with pytest.raises(DockerfileError) as caught:
        parse(data, "Dockerfile")
    return caught.value.brief


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "Dockerfile has no instructions"),
        (b"\n# only a comment\n", "Dockerfile has no instructions"),
        (b"FROM a\nRUN echo \xff\n", "Dockerfile:2: not UTF-8 text"),
        (b"FROM a\n\nRUN echo \0 rm -rf /\n", "Dockerfile:3: a NUL byte"),
        (b"FROM a\nENV A\nRUN x\n", "Dockerfile:2: ENV must have two arguments"),
        (
            b"FROM a\nRUN x\nENV A=1 \\\n  B C\nRUN y\n",
            'Dockerfile:4: syntax error - can\'t find = in "B". Must be of the form: name=value',
        ),
        (b"FROM a\nRUN x\nRUN <<EOF\nfoo\n", "Dockerfile:3: unterminated heredoc"),
        (b"FROM a\nRUN <<A\nx\nA\nRUN <<B\ny\n", "Dockerfile:5: unterminated heredoc"),
        (b"#escape=x\nFROM a\n", "Dockerfile:1: invalid escape token 'x' does not match ` or \\"),
        (b"a" * (MAX_BYTES + 1), "Dockerfile is larger than 1024 KiB"),
    ],
)
def test_what_cannot_be_parsed_says_where(data: bytes, message: str) -> None:
    assert failure(data) == message


def test_the_escape_directive_stands_before_everything_else() -> None:
    assert parse(b"# syntax=docker/dockerfile:1\n# escape=`\nFROM a\n", "f").escape == "`"
    assert parse(b"# a comment\n# escape=`\nFROM a\n", "f").escape == "\\"
    assert parse(b"\xef\xbb\xbf# escape=`\r\nFROM a\r\n", "f").escape == "`"


def test_lines_and_documents_are_kept() -> None:
    nodes = parse(b"FROM a\n\nRUN <<EOF\necho hi\nEOF\ncopy a \\\n  b\n", "f").nodes
    assert [(node.keyword, node.at.line) for node in nodes] == [
        ("FROM", 1),
        ("RUN", 3),
        ("COPY", 6),
    ]
    assert nodes[1].heredocs[0].content == "echo hi\n"
    assert nodes[2].words == ("a", "b")


@pytest.mark.parametrize("parser", ["dockerfile", "paas.engine.build.grammar"])
def test_an_escape_before_nothing_is_an_empty_instruction(
    parser: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = importlib.import_module(parser)
    monkeypatch.setattr("paas.engine.build.parse.parse_string", parsed.parse_string)
    nodes = parse(b"FROM a\n\\\n\n", "f").nodes
    assert [(node.keyword, node.text) for node in nodes] == [("FROM", "FROM a"), ("", "")]
