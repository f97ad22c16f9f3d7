"""What config:export gives out, config:import takes in, and it refuses the rest by its line."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paas.cli.env_formats import InvalidEnvironment, bundled, exported, imported

keys = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True)
values = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("A=1\nhunter2\n", 2),
        ("A=1\n\n=hunter2\n", 3),
        ("<<<<<<< HEAD\n", 1),
        ("A='hunter2\nB=2\n", 1),
        ('\nA="hunter2', 2),
        ('{"A": "hunter2",\n}', 2),
    ],
)
def test_a_bad_line_is_named_by_its_number_and_never_shown(text: str, line: int) -> None:
    with pytest.raises(InvalidEnvironment) as caught:
        imported(text, None)
    assert caught.value.brief.startswith(f"stdin:{line}:")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ['["A"]', '{"A": [1]}', '{"A": true}', "[" * 100_000, '{"A": {}}'])
def test_json_that_is_no_environment_is_refused(text: str) -> None:
    with pytest.raises(InvalidEnvironment):
        imported(text, "json")


def test_what_env_files_of_the_field_look_like() -> None:
    text = """\
# a comment
export A=1
B = two words   # and a comment
C="a \\"quoted\\" \\$word\\nand a line" # more
D='single $HOME #no comment'
E=
F="several
lines"
G=a#b
H=it\\'s
\tI=http://x/?a=b&c=d
"""
    assert imported(text, None) == {
        "A": "1",
        "B": "two words",
        "C": 'a "quoted" $word\nand a line',
        "D": "single $HOME #no comment",
        "E": "",
        "F": "several\nlines",
        "G": "a#b",
        "H": "it's",
        "I": "http://x/?a=b&c=d",
    }
    assert imported("\ufeffA=1\r\nB=2\r\n", "envfile") == {"A": "1", "B": "2"}


def test_json_comes_as_an_object_or_as_a_list() -> None:
    assert imported('{"A": "x", "B": 2}', None) == {"A": "x", "B": "2"}
    assert imported('[{"name": "A", "value": "x"}]', None) == {"A": "x"}


@pytest.mark.parametrize("form", ["exports", "envfile", "json", "json-list"])
@settings(deadline=None)
@given(st.dictionaries(keys, values, max_size=3))
def test_what_is_given_out_is_taken_in_again(form: str, config: dict[str, str]) -> None:
    assert imported(exported(config, form), None) == config


@settings(deadline=None)
@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = imported(text, None)
    except InvalidEnvironment as error:
        assert error.brief
    else:
        assert all(isinstance(value, str) for value in found.values())


def test_arguments_for_docker_are_words_of_a_shell() -> None:
    text = exported({"A": "it's $HOME", "B": "a\nb"}, "docker-args")
    shell = ["/bin/sh", "-c", f"printf '%s\\0' {text}"]
    words = subprocess.run(shell, capture_output=True, check=True).stdout.split(b"\0")[:-1]
    assert words == [b"--env=A=it's $HOME", b"--env=B=a\nb"]


def test_a_bundle_is_a_file_for_each_variable() -> None:
    with tarfile.open(fileobj=io.BytesIO(bundled({"A": "x\n", "B": ""}))) as tar:
        found = {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]
    assert found == {"A": b"x\n", "B": b""}


def test_for_people_values_are_in_one_column() -> None:
    assert exported({"A": "1", "LONG": "2"}, "pretty") == "A:     1\nLONG:  2\n"
    assert json.loads(exported({"A": "1"}, "json-list")) == [{"name": "A", "value": "1"}]


@given(st.recursive(st.none() | st.text() | st.integers() | st.floats(), lambda inner:
       st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))  # fmt: skip
def test_any_json_is_texts_or_refused(document: object) -> None:
    try:
        found = imported(json.dumps(document), "json")
    except InvalidEnvironment:
        return
    assert all(isinstance(value, str) for value in found.values())
