"""Where a developer's `paas` goes, and what it tells ssh."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from paas.daemon import remote
from paas.daemon.remote import Destination, Unknown, find_destination, parse_host, parse_remote


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PAAS_HOST", "PAAS_PORT", "PAAS_APP", "PAAS_GIT_REMOTE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def parts(found: Destination) -> tuple[str, str | None, str | None]:
    return found.host, found.port, found.app


@pytest.mark.parametrize(
    "url",
    ["https://github.com/a/b", "/srv/repo.git", "./x", "ssh://host", "ssh://host/", "host",
     "file:///x", "a/b:c"],
)  # fmt: skip
def test_a_remote_that_is_no_server_of_ours_is_refused(url: str) -> None:
    with pytest.raises(Unknown, match="is not of the form"):
        parse_remote(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("paas@host:app", ("paas@host", None, "app")),
        ("host:app", ("paas@host", None, "app")),
        ("me@host:app.git", ("me@host", None, "app")),
        ("paas@host:/app", ("paas@host", None, "app")),
        ("paas@[::1]:app", ("paas@::1", None, "app")),
        ("ssh://paas@host/app", ("paas@host", None, "app")),
        ("ssh://paas@host:2222/app.git", ("paas@host", "2222", "app")),
        ("ssh://[::1]:2222/app", ("paas@::1", "2222", "app")),
    ],
)
def test_both_spellings_of_git_name_host_port_and_app(
    url: str, expected: tuple[str, str | None, str]
) -> None:
    assert parts(parse_remote(url)) == expected


@pytest.mark.parametrize("text", ["a/b", "a:b@c", "h:x", ""])
def test_a_host_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Unknown, match="PAAS_HOST"):
        parse_host(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("h", ("paas@h", None)), ("me@h", ("me@h", None)), ("me@h:22", ("me@h", "22"))],
)
def test_a_host_may_have_user_and_port(text: str, expected: tuple[str, str | None]) -> None:
    assert parts(parse_host(text))[:2] == expected


def test_nowhere_to_go_says_what_to_type(capsys: pytest.CaptureFixture[str]) -> None:
    assert remote.main(["apps:list"]) == 20
    said = capsys.readouterr().err
    assert "git remote add paas paas@HOST:APP" in said
    assert "PAAS_HOST" in said


def git(*words: str) -> None:
    subprocess.run(["git", *words], check=True, capture_output=True)


def test_the_environment_wins_over_the_remote(monkeypatch: pytest.MonkeyPatch) -> None:
    git("init")
    git("remote", "add", "paas", "ssh://me@host:2222/app")
    git("remote", "add", "staging", "paas@other:app2")
    assert parts(find_destination()) == ("me@host", "2222", "app")
    monkeypatch.setenv("PAAS_GIT_REMOTE", "staging")
    assert parts(find_destination()) == ("paas@other", None, "app2")
    monkeypatch.setenv("PAAS_HOST", "third")
    assert parts(find_destination()) == ("paas@third", None, "app2")
    monkeypatch.setenv("PAAS_PORT", "9")
    monkeypatch.setenv("PAAS_APP", "mine")
    assert parts(find_destination()) == ("paas@third", "9", "mine")


def test_words_are_quoted_once_for_the_one_parse_of_the_server() -> None:
    argv = remote.ssh_argv(Destination("paas@h", "22", "app"), ["config:set", "A=it's $x\n"])
    assert argv[-3:-1] == ["--", "paas@h"]
    assert argv[argv.index("-p") + 1] == "22"
    assert shlex.split(argv[-1]) == ["--app", "app", "config:set", "A=it's $x\n"]


def test_a_host_cannot_be_an_option_of_ssh() -> None:
    argv = remote.ssh_argv(Destination("-oProxyCommand=x", None, None), ["apps:list"])
    assert argv[argv.index("-oProxyCommand=x") - 1] == "--"


def test_no_words_are_an_interactive_login() -> None:
    assert remote.ssh_argv(Destination("paas@h", None, "app"), [])[-1] == ""
