"""The doctor's judgements, over facts that are given; the trials are engine tests."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from paas.daemon.checks import backups, groups, machine, ports, serving, sshd
from paas.daemon.checks.check import Unwell, outcome
from paas.engine.network.findings import Finding
from paas.errors import PaasError
from paas.host import processes
from paas.model.backup import Backup, Schedule, Verdict
from paas.model.certificate import Certificate, Source
from paas.model.service import Service, ServiceState

GIB = 2**30
DAY = 86400.0


def test_a_failing_check_says_what_to_do() -> None:
    def check() -> str:
        raise Unwell("no good", "Mend it.")

    found = outcome("thing", check)
    assert (found.ok, found.text, found.remedy) == (False, "no good", "Mend it.")


def test_an_expected_error_is_a_failed_check_and_not_the_end() -> None:
    def check() -> str:
        raise PaasError("It broke", ["at the seam"], "Sew it.")

    found = outcome("thing", check)
    assert (found.ok, found.text, found.remedy) == (False, "It broke; at the seam", "Sew it.")


def test_a_port_that_is_shut_is_told_with_the_remedy_and_is_no_failure() -> None:
    shut = [Finding("The chain INPUT keeps everybody out", "ufw allow 80/tcp")]
    found = outcome("ports", lambda: ports.judge([80], shut))
    assert (found.ok, found.remedy) == (True, "ufw allow 80/tcp")
    assert "keeps everybody out" in found.text


def test_a_port_that_is_open_needs_no_remedy() -> None:
    found = outcome("ports", lambda: ports.judge([80, 443], []))
    assert (found.ok, found.remedy) == (True, "")
    assert found.text == "no firewall of this machine shuts 80 or 443"


def test_ports_that_nobody_listens_on_or_that_are_the_machine_s_own_do_not_count() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port, unused = listener.getsockname()[1], silent.getsockname()[1]
        assert ports.served("", [port, unused]) == [port]
        assert ports.served("192.0.2.1", [port]) == [port]
        for loopback in ("127.0.0.1", "::1"):
            assert ports.served(loopback, [port]) == []
    assert ports.judge([], []) == "none that others are to come to"


@pytest.mark.parametrize("release", ["5.18.0-1-amd64", "4.19.0", "weird", "5.9.99"])
def test_an_old_kernel(release: str) -> None:
    with pytest.raises(Unwell, match=release):
        machine.kernel(release)


@pytest.mark.parametrize("release", ["5.19.0", "6.1.0-18-amd64", "6.18.44-fc"])
def test_a_kernel_that_will_do(release: str) -> None:
    assert machine.kernel(release) == release


NEEDED = ("cpu", "memory", "pids")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ((2, ("cpu", "pids")), "version 2, without memory"),
        ((2, NEEDED, ["system.slice"]), "system.slice is not kept the memory that instances"),
    ],
)
def test_control_groups_without_an_effect(found: tuple[Any, ...], said: str) -> None:
    with pytest.raises(Unwell, match=said):
        groups.check(*found)


def test_that_no_disk_is_given_out_by_weight_is_no_failure() -> None:
    assert groups.check(2, NEEDED) == "version 2, cpu, memory, pids"
    said = groups.check(2, NEEDED, [], ["sda", "sdb"])
    assert "builds take the disk sda and sdb from apps as equals" in said
    assert "echo bfq > /sys/block/sda/queue/scheduler" in said


def disk(free: int, inodes: int = 10**6, total_inodes: int = 10**7) -> SimpleNamespace:
    return SimpleNamespace(
        f_bavail=free // 4096, f_frsize=4096, f_files=total_inodes, f_favail=inodes
    )


def test_a_full_disk_says_how_to_see_what_fills_it() -> None:
    with pytest.raises(Unwell) as caught:
        machine.disk(disk(GIB), Path("/var/lib/x"))
    assert "1.0 GiB free below /var/lib/x" in caught.value.text
    assert "du " in caught.value.remedy


def test_a_disk_without_inodes_is_full_too_but_not_one_that_makes_them() -> None:
    with pytest.raises(Unwell, match="inodes"):
        machine.disk(disk(50 * GIB, inodes=10), Path("/x"))
    assert "50.0 GiB" in machine.disk(disk(50 * GIB, inodes=0, total_inodes=0), Path("/x"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("pubkeyauthentication no", "PubkeyAuthentication is off"),
        ("authorizedkeysfile /etc/keys/%u", "does not read .ssh/authorized_keys"),
        ("denyusers paas", "DenyUsers names paas"),
        ("allowusers ann", "AllowUsers does not name paas"),
    ],
)
def test_an_sshd_that_admits_nobody_as_us(line: str, words: str) -> None:
    text = f"port 22\n{line}\n"
    found = sshd.keys_refused(sshd.sshd_options(text), "paas")
    assert found is not None
    assert words in found[0]
    assert "sshd_config" in found[1]


def test_an_sshd_as_the_distributions_ship_it() -> None:
    text = "port 22\npubkeyauthentication yes\n"
    text += "authorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2\n"
    assert sshd.keys_refused(sshd.sshd_options(text), "paas") is None
    text += "allowusers ann\nallowusers paas\n"
    assert sshd.keys_refused(sshd.sshd_options(text), "paas") is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("maxstartups 10:30:100", "more than 10 logins at once"),
        ("maxstartups 100:30:200", ""),
        ("", ""),
    ],
)
def test_a_crowd_that_sshd_would_refuse_is_told_of(line: str, said: str) -> None:
    found = sshd.few_at_once(sshd.sshd_options(f"port 22\n{line}\n"))
    assert (said in found, bool(found)) == (True, bool(said))


@contextmanager
def greeter(line: bytes) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(line)

        thread = threading.Thread(target=greet)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def test_who_greets_like_an_ssh_server_is_one() -> None:
    with greeter(b"SSH-2.0-OpenSSH_9.2\r\n") as port:
        assert sshd.greets(port)
    with greeter(b"220 mail\r\n") as port:
        assert not sshd.greets(port)
    assert not sshd.greets(port)


@contextmanager
def name_server(code: int, *, lost: int = 0) -> Iterator[None]:
    """Answers one question at 127.0.0.9:53 with a response code, behind those that get lost."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.9", 53))

        def answer() -> None:
            for _ in range(lost):
                server.recvfrom(512)
            query, sender = server.recvfrom(512)
            server.sendto(query[:2] + bytes([0x81, 0x80 | code]) + query[4:], sender)

        thread = threading.Thread(target=answer)
        thread.start()
        yield
        thread.join()


@pytest.mark.skipif(os.geteuid() != 0, reason="port 53 is root's")
@pytest.mark.parametrize(("code", "good"), [(0, True), (3, True), (2, False), (5, False)])
def test_a_name_server_answers_unless_it_fails_or_refuses(code: int, *, good: bool) -> None:
    with name_server(code):
        assert serving.answers("127.0.0.9", "example.org") is good


@pytest.mark.skipif(os.geteuid() != 0, reason="port 53 is root's")
def test_a_name_server_is_asked_again_when_a_datagram_gets_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serving, "ANSWER_S", 0.2)
    with name_server(0, lost=1):
        assert serving.answers("127.0.0.9", "example.org")


def test_a_name_server_that_is_not_there_does_not_answer() -> None:
    assert not serving.answers("127.0.0.10", "example.org")


def test_a_socket_that_its_process_left_behind_takes_no_datagrams(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    assert not serving.takes_datagrams(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        assert serving.takes_datagrams(path)
    assert not serving.takes_datagrams(path)


def test_a_clock_before_the_program_was_installed_is_wrong() -> None:
    with pytest.raises(Unwell, match="before"):
        machine.clock(1_000_000.0, 1_700_000_000.0)


def test_a_clock_that_no_server_sets_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "synchronised", lambda: False)
    text = machine.clock(1_700_000_000.0, 1_700_000_000.0)
    assert text.startswith("2023-11-14 22:13:20 UTC; no time server sets it")


def certificate(name: str, days_left: float, days: float = 90) -> Certificate:
    start, end = (days_left - days) * DAY, days_left * DAY
    return Certificate("f", Source.GIVEN, (name,), "CA", "1", start, end, self_signed=False)


@pytest.mark.parametrize(("left", "word"), [(20, "expires"), (-1, "expired")])
def test_a_certificate_that_ends_is_named(left: float, word: str) -> None:
    fine = certificate("b.example", 60)
    with pytest.raises(Unwell) as caught:
        serving.certificates([("one", certificate("a.example", left)), ("two", fine)], 0)
    assert caught.value.text.startswith(f"one: a.example {word} 19")
    assert "b.example" not in caught.value.text
    assert "letsencrypt:list" in caught.value.remedy


def test_a_short_lived_certificate_is_fine_for_most_of_its_life() -> None:
    short = certificate("a.example", 2, days=6)
    assert serving.certificates([("one", short)], 0) == "1 served"
    assert serving.certificates([], 0) == "none"


SERVICE = Service(
    *(1, "postgres", "db", ServiceState.RUNNING, "i", "", "17", "v", "c", 1, {}, 0.0),
)


def made(day: int, verdict: Verdict) -> Backup:
    place = ("postgres", "db", "17", "/t", "f", verdict, "no space", 1, "")
    return Backup(day, *place, 1.0, day * DAY, scheduled=True)


def due(day: int) -> Schedule:
    return Schedule(1, "@daily", "/t", 7, 0, verify=True, next_at=day * DAY)


def test_a_failed_or_missing_backup_is_said() -> None:
    good, bad, running = (made(9, each) for each in (Verdict.GOOD, Verdict.BAD, Verdict.RUNNING))
    assert backups.scheduled([], 10 * DAY) == "none by schedule"
    assert backups.scheduled([(SERVICE, due(10), [running, good, bad])], 10 * DAY)
    assert backups.scheduled([(SERVICE, due(10), [])], 10 * DAY)
    with pytest.raises(Unwell, match="postgres db: 1970-01-10 00:00 failed: no space"):
        backups.scheduled([(SERVICE, due(10), [running, bad, good])], 10 * DAY)
    with pytest.raises(Unwell, match="none since 1970-01-11 00:00, when one was due"):
        backups.scheduled([(SERVICE, due(10), [good])], 11 * DAY)
    unchecked = replace(made(9, Verdict.UNCHECKED), detail="could not be checked: no memory")
    with pytest.raises(Unwell, match="1970-01-10 00:00: could not be checked: no memory"):
        backups.scheduled([(SERVICE, due(10), [unchecked])], 10 * DAY)
    at_will = replace(due(10), verify=False)
    assert backups.scheduled([(SERVICE, at_will, [unchecked])], 10 * DAY)


def test_an_sshd_that_nobody_asked_since_the_start_is_no_broken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ubuntu's is started by the first connection, and /run/sshd is not there before."""
    place, program = tmp_path / "separation", tmp_path / "sshd"
    program.write_text(f"#!/bin/sh\n[ -d {place} ] || exit 255\necho port 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(processes, "SEARCH_PATH", str(tmp_path))
    monkeypatch.setattr(sshd, "SEPARATION", place)
    with pytest.raises(Unwell) as caught:
        sshd.check("paas")
    assert caught.value.text == "nobody answers on port 1"
