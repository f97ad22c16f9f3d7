"""The Procfile: the lines that must fail a push, then those that mean something."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.errors import PaasError
from paas.model.names import PROCESS_TYPE
from paas.model.procfile import InvalidProcfile, parse_procfile


@pytest.mark.parametrize(
    ("text", "place", "word"),
    [
        ("web: a\n<<<<<<< HEAD\nweb: b\n", "Procfile:2", "merge conflict"),
        ("web: a\n=======\n", "Procfile:2", "merge conflict"),
        (">>>>>>> topic: branch\n", "Procfile:1", "merge conflict"),
        ("web: a\n\nhello there\n", "Procfile:3", "type: command"),
        ("web: a\nweb: b\n", "Procfile:2", "twice"),
        ("web:\n", "Procfile:1", "no command"),
        ("web: # nothing\n", "Procfile:1", "no command"),
        ("we b: a\n", "Procfile:1", "type: command"),
        (": a\n", "Procfile:1", "type: command"),
        ("wéb: a\n", "Procfile:1", "not a process type"),
        ("-x: a\n", "Procfile:1", "not a process type"),
        ("w" * 64 + ": a\n", "Procfile:1", "not a process type"),
        ("web: a\0b\n", "Procfile:1", "type: command"),
    ],
)
def test_a_line_that_is_none_names_its_place(text: str, place: str, word: str) -> None:
    with pytest.raises(InvalidProcfile) as caught:
        parse_procfile(text)
    assert caught.value.brief.startswith(f"{place}: ")
    assert word in str(caught.value)


def test_the_path_in_messages_is_the_file_s_own() -> None:
    with pytest.raises(InvalidProcfile, match="deploy/Procfile:1"):
        parse_procfile("nonsense", "deploy/Procfile")


@pytest.mark.parametrize(
    ("text", "processes"),
    [
        ("", {}),
        ("web: gunicorn app:app\nworker: run", {"web": "gunicorn app:app", "worker": "run"}),
        ("web: a\r\nworker: b\r\n", {"web": "a", "worker": "b"}),
        ("\ufeffweb: a\n", {"web": "a"}),
        ("# all\n// of it\n\n  \nweb: a\n", {"web": "a"}),
        ("web: a # serve\n", {"web": "a"}),
        ("web: a // serve\n", {"web": "a"}),
        ("web: curl http://x/#top\n", {"web": "curl http://x/#top"}),
        ("web: echo '# not // one' # one\n", {"web": "echo '# not // one'"}),
        ('web: echo "a \\" # b"\n', {"web": 'echo "a \\" # b"'}),
        ("web: echo it\\'s # one\n", {"web": "echo it\\'s"}),
        ("web : a\n", {"web": "a"}),
        ("web:a\n", {"web": "a"}),
        ("  web: a  \n", {"web": "a"}),
        ("web: serve $PORT\n", {"web": "serve $PORT"}),
        ("release: migrate\nWeb_2-x: a\n", {"release": "migrate", "Web_2-x": "a"}),
    ],
)
def test_a_file_is_read_as_dokku_reads_it(text: str, processes: dict[str, str]) -> None:
    assert parse_procfile(text) == processes
    assert list(parse_procfile(text)) == list(processes)


types = st.from_regex(PROCESS_TYPE, fullmatch=True)
commands = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1).filter(
    lambda text: not text.startswith(("#", "//"))
)


@given(st.dictionaries(types, commands))
def test_what_is_written_is_read_back(processes: dict[str, str]) -> None:
    written = "".join(f"{name}: {command}\n" for name, command in processes.items())
    assert parse_procfile(written) == processes


@given(st.text())
def test_any_text_is_read_or_refused_with_a_line_number(text: str) -> None:
    try:
        processes = parse_procfile(text)
    except PaasError as error:
        assert error.brief.startswith("Procfile:")
    else:
        assert all(command.strip() for command in processes.values())
