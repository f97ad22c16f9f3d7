"""`proxy:access-logs` and `proxy:error-logs`: an app's own lines, and whose it never shows."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from paas.cli.errors import READER_GONE
from paas.deploy.route import Router
from paas.host.clock import SystemClock
from paas.model.app import App
from paas.proxy.listening import Listening
from paas.proxy.proxy import Proxy
from paas.store.store import Store
from tests.unit.cli.caller import Paas

LOGS = ["proxy:access-logs", "proxy:error-logs"]


@pytest.fixture
def app(paas: Paas) -> App:
    proxy = Proxy(paas.layout, lambda: Listening(http_port=8080))
    engine = cast(Any, SimpleNamespace(layout=paas.layout))
    paas.platform.router = Router(paas.store, engine, proxy, SystemClock())
    return paas.store.apps.create("x")


def log_of(paas: Paas, command: str, app: str = "x") -> Path:
    """The file that a command is about, and its folder."""
    folder = {"proxy:access-logs": "apps", "proxy:error-logs": "errors"}[command]
    path = paas.layout.logs / "proxy" / folder / f"{app}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def followed(
    paas: Paas, argv: tuple[str, ...], steps: dict[bytes, Callable[[], None]], *, leaving: bool
) -> tuple[int, list[bytes]]:
    """How a command that follows ends, and what it said: at a line its step is made.

    With `leaving` the reader is gone before the first step.
    """
    reading, writing = os.pipe()
    seen: list[bytes] = []

    def read() -> None:
        with os.fdopen(reading, "rb") as lines:
            for line in lines:
                seen.append(line)
                if leaving:
                    lines.close()
                steps.get(line, lambda: None)()
                if leaving:
                    return

    thread = threading.Thread(target=read)
    thread.start()
    try:
        code = paas(*argv, stdout=writing).code
    finally:
        os.close(writing)
        thread.join()
    return code, seen


# -- failures first ----------------------------------------------------------------------


@pytest.mark.parametrize("command", LOGS)
@pytest.mark.parametrize(
    "argv", [("x", "-n", "-1"), ("x", "-n", "many"), ("x", "y"), ("x", "--follow"), ()]
)
def test_bad_words_are_refused(paas: Paas, app: App, command: str, argv: tuple[str, ...]) -> None:
    assert paas(command, *argv).code == 1


@pytest.mark.parametrize("command", LOGS)
@pytest.mark.parametrize("more", [(), ("-t",)])
def test_an_app_that_is_not_there_is_exit_20(
    paas: Paas, app: App, command: str, more: tuple[str, ...]
) -> None:
    assert paas(command, "nope", *more).code == 20


@pytest.mark.parametrize("command", LOGS)
def test_who_has_no_role_in_the_app_sees_nothing(paas: Paas, app: App, command: str) -> None:
    log_of(paas, command).write_bytes(b"a visitor\n")
    stranger = paas.let_in("stranger", admin=False)
    for more in ((), ("-t",)):
        said = paas(command, "x", *more, caller=stranger)
        assert (said.code, said.stdout) == (1, b"")
        assert "visitor" not in said.err


@pytest.mark.parametrize("command", LOGS)
def test_an_app_that_nobody_visited_has_no_lines(paas: Paas, app: App, command: str) -> None:
    said = paas(command, "x")
    assert (said.code, said.stdout, said.err) == (0, b"", "")


@pytest.mark.parametrize("command", LOGS)
def test_a_reader_that_is_gone_ends_it(paas: Paas, app: App, command: str) -> None:
    log = log_of(paas, command)
    log.write_bytes(b"1\n")

    def visit_again() -> None:
        with log.open("ab") as out:
            out.write(b"2\n")

    code, seen = followed(paas, (command, "x", "-t"), {b"1\n": visit_again}, leaving=True)
    assert (code, seen) == (READER_GONE, [b"1\n"])
    assert paas.channel.ends_with_client


@pytest.mark.parametrize("command", LOGS)
def test_dokku_s_name_leads_here(paas: Paas, app: App, command: str) -> None:
    said = paas(command.replace("proxy:", "nginx:"), "x")
    assert said.code == 1
    assert f"`{command}`" in said.err


# -- what it shows -----------------------------------------------------------------------


@pytest.mark.parametrize("command", LOGS)
def test_the_last_lines_are_the_app_s_own(paas: Paas, app: App, command: str) -> None:
    log_of(paas, command).write_bytes(b"1\n2\n3\n")
    log_of(paas, command, "y").write_bytes(b"another's\n")
    assert paas(command, "x").stdout == b"1\n2\n3\n"
    assert paas(command, "-n", "2", "x").stdout == b"2\n3\n"
    assert paas(command, "x", "--num=0").stdout == b""
    assert not paas.channel.ends_with_client


@pytest.mark.parametrize("command", LOGS)
def test_it_follows_the_app_to_its_end_and_not_its_name(paas: Paas, app: App, command: str) -> None:
    """Renamed, then destroyed; both names are another app's meanwhile."""
    log, new = log_of(paas, command), log_of(paas, command, "new")
    log.write_bytes(b"1\n2\n")

    def rename() -> None:
        store = Store(paas.layout)
        with store.transaction():
            store.apps.rename(store.apps.get("x"), "new")
            store.apps.create("x")
            log.replace(new)
        log.write_bytes(b"another's\n")
        with new.open("ab") as out:
            out.write(b"3\n")
        store.close()

    def destroy() -> None:
        store = Store(paas.layout)
        with store.transaction():
            new.unlink()
            store.apps.destroy(store.apps.get("new"))
            store.apps.create("new")
        new.write_bytes(b"another's\n")
        store.close()

    steps = {b"2\n": rename, b"3\n": destroy}
    assert followed(paas, (command, "x", "-n", "1", "-t"), steps, leaving=False) == (
        0,
        [b"2\n", b"3\n"],
    )
