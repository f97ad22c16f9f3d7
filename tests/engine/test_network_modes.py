"""Containers without a network, with the host's, and with published ports."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from paas.engine.network.publish import NoNetworkToPublish
from paas.host import syscalls
from tests.engine.machine import SECONDS, Machine
from tests.killing import forked

ANSWER = "while true; do echo served | nc -l -p 5000; done"


def test_none_has_a_loopback_alone_and_no_resolver(machine: Machine) -> None:
    out = machine.run("sh", "-c", "ls /sys/class/net; cat /etc/resolv.conf", network="none")
    assert out.text == "lo\n"
    refused = machine.run("nc", "192.0.2.1", "80", network="none")
    assert b"unreachable" in refused.stderr


def test_host_has_the_links_of_the_server(machine: Machine) -> None:
    out = machine.run("ls", "/sys/class/net", network="host").text.split()
    assert machine.network.interface in out
    refused = machine.run("ip", "link", "add", "x1", "type", "dummy", network="host")
    assert refused.code != 0


def test_host_mounts_nothing_on_the_host(machine: Machine) -> None:
    """Where the host's mounts are shared, as under systemd: a mount below /sys is one here."""

    def run() -> None:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_SHARED)
        before = _mounts("/sys")
        with machine.running("sleep", "60", network="host"):
            assert _mounts("/sys") == before
        assert _mounts("/sys") == before

    assert os.waitstatus_to_exitcode(os.waitpid(forked(run), 0)[1]) == 0


def _mounts(place: str) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if line.split()[4].startswith(place)]


def test_only_a_network_of_its_own_has_ports_to_publish(machine: Machine) -> None:
    with pytest.raises(NoNetworkToPublish):
        machine.run("true", network="host", publish=("127.0.0.1::5000",))


def test_a_published_port_leads_to_a_container_until_it_is_removed(machine: Machine) -> None:
    with machine.running("sh", "-c", ANSWER, publish=("127.0.0.1::5000",)) as container:
        [port] = [each.port for each in machine.network.published.of(container.id)]
        assert answered(port) == b"served\n"
        machine.containers.restart(container.id, 0)
        assert answered(port) == b"served\n"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS)


def answered(port: int) -> bytes:
    """What is said there, as soon as somebody listens."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
                return connection.recv(100)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
