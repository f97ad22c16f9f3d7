"""The commands of the server itself, over a recording one."""
# ruff: noqa: ARG002  the words of the protocol it records

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from paas.cli.server import Server, Upgrade, server_commands
from paas.cli.session import Session
from paas.cli.table import commands
from paas.model.report import Report
from paas.model.settings import DOMAIN, HTTP_PORT
from paas.model.version import VERSION
from tests.unit.cli.caller import KEY, ROOT, Paas

NAMES = ("network", "instances", "proxy", "paasd")


@dataclass
class RecordingServer:
    """Notes what it is told."""

    told: list[object] = field(default_factory=list)
    names: Sequence[str] = NAMES

    def prepare(self, report: Report) -> None:
        self.told.append("prepare")

    def up(self, names: Iterable[str], report: Report) -> None:
        self.told.append(("up", *names))

    def restart(self, name: str) -> None:
        self.told.append(("restart", name))

    def down(self, names: Iterable[str], report: Report) -> None:
        self.told.append(("down", *names))

    def vanish(self) -> None:
        self.told.append("vanish")

    def purge(self) -> None:
        self.told.append("purge")

    def start(self, name: str) -> None:
        self.told.append(("start", name))

    def stop(self, name: str) -> None:
        self.told.append(("stop", name))

    def open_firewall(self, report: Report) -> None:
        self.told.append("firewall")

    def close_firewall(self, report: Report) -> None:
        self.told.append("no firewall")

    def ensure_stack(self, report: Report) -> None:
        self.told.append("stack")

    def publish(self, report: Report) -> None:
        self.told.append("publish")

    def run(self, checkout: Path | None, report: Report) -> None:
        self.told.append(("upgrade", checkout))

    def facts(self) -> Iterable[tuple[str, str]]:
        return [("Domain", "example.com")]


if TYPE_CHECKING:
    as_commands_see_it: Server = RecordingServer()
    as_upgrades_see_it: Upgrade = RecordingServer()


@dataclass(frozen=True)
class Looked:
    """One line of a doctor's."""

    name: str
    ok: bool
    text: str
    remedy: str = ""


@dataclass
class Patient:
    """A doctor who has already looked."""

    checks: Sequence[Looked]

    def examine(self) -> Iterator[Looked]:
        yield from self.checks


class Machine:
    """A PaaS whose server records, and whose doctor says what the test wants."""

    def __init__(self, folder: Path) -> None:
        self.server = RecordingServer()
        self.checks: list[Looked] = [Looked("kernel", ok=True, text="6.1")]
        self.paas = Paas(folder)

        def server(_: Session) -> RecordingServer:
            return self.server

        def doctor(_: Session) -> Patient:
            return Patient(self.checks)

        def upgrade(_: Session) -> RecordingServer:
            return self.server

        self.paas.table = commands(server_commands(server, doctor, upgrade))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.paas.store.close()


@pytest.mark.parametrize("command", ["up", "down", "upgrade"])
def test_a_key_does_not_start_or_stop_the_server(machine: Machine, command: str) -> None:
    said = machine.paas(command, caller=KEY)
    assert said.code == 1
    assert "for root" in said.err
    assert machine.server.told == []


@pytest.mark.parametrize(
    "words",
    [
        ("up", "--http-port", "0"),
        ("up", "--http-port", "x"),
        ("up", "--domain", "not a domain"),
        ("up", "--only", "everything"),
        ("down", "--only", "../x"),
    ],
)
def test_a_bad_value_starts_nothing(machine: Machine, words: Sequence[str]) -> None:
    assert machine.paas(*words, caller=ROOT).code == 1
    assert not {"publish", "stack"} & set(map(str, machine.server.told))
    assert machine.paas.store.settings.get(None, HTTP_PORT.name) is None


def test_up_keeps_its_settings_and_starts_everything_in_order(machine: Machine) -> None:
    said = machine.paas("up", "--http-port", "8080", "--domain", "Example.com", caller=ROOT)
    assert said.code == 0, said.err
    assert machine.server.told == ["prepare", ("up", *NAMES), "publish", "stack"]
    assert machine.paas.store.settings.value(HTTP_PORT) == 8080
    assert machine.paas.store.settings.value(DOMAIN) == "example.com"


def test_up_again_keeps_what_was_set(machine: Machine) -> None:
    machine.paas("up", "--http-port", "8080", caller=ROOT)
    machine.paas("up", "--no-stack", caller=ROOT)
    assert machine.server.told[4:] == ["prepare", ("up", *NAMES), "publish"]
    assert machine.paas.store.settings.value(HTTP_PORT) == 8080


def test_the_firewall_is_left_alone_until_it_is_allowed_and_again_afterwards(
    machine: Machine,
) -> None:
    def up(*words: str) -> object:
        del machine.server.told[:]
        assert machine.paas("up", "--no-stack", *words, caller=ROOT).code == 0
        return machine.server.told[2:]

    assert up() == ["publish"]
    assert up("--allow-firewall") == ["firewall", "publish"]
    assert up() == ["firewall", "publish"]
    assert up("--no-allow-firewall") == ["no firewall", "publish"]
    assert up() == ["publish"]


def test_one_service_alone(machine: Machine) -> None:
    machine.paas("up", "--only", "proxy", caller=ROOT)
    machine.paas("up", "--restart", "paasd", caller=ROOT)
    machine.paas("down", "--only", "paasd", caller=ROOT)
    told = ["prepare", ("up", "proxy"), ("restart", "paasd"), ("down", "paasd")]
    assert machine.server.told == told


def test_what_a_systemd_unit_calls_touches_that_service_alone(machine: Machine) -> None:
    machine.paas("up", "--unit", "proxy", caller=ROOT)
    machine.paas("down", "--unit", "instances", caller=ROOT)
    assert machine.server.told == [("start", "proxy"), ("stop", "instances")]


def test_down_leaves_the_kernel_as_it_was(machine: Machine) -> None:
    machine.paas("down", caller=ROOT)
    assert machine.server.told == [("down", *NAMES), "vanish"]


def test_purge_stops_everything_first(machine: Machine) -> None:
    machine.paas("down", "--purge", "--force", caller=ROOT)
    assert machine.server.told == [("down", *NAMES), "purge"]


def test_the_doctor_says_what_to_do_and_fails(machine: Machine) -> None:
    machine.checks.append(Looked("disk", ok=False, text="full", remedy="Make room."))
    said = machine.paas("doctor", caller=KEY)
    assert said.code == 1
    assert said.lines == [
        "ok    kernel         6.1",
        "FAIL  disk           full",
        "                     Make room.",
    ]


def test_what_may_be_meant_so_is_a_warning_and_no_failure(machine: Machine) -> None:
    machine.checks.append(Looked("ports", ok=True, text="shut", remedy="ufw allow 80/tcp"))
    said = machine.paas("doctor", caller=KEY)
    assert said.code == 0
    assert said.lines[1:] == ["warn  ports          shut", "                     ufw allow 80/tcp"]


def test_a_well_machine(machine: Machine) -> None:
    assert machine.paas("doctor", caller=ROOT).code == 0


def test_what_is_found_is_there_for_programs_too(machine: Machine) -> None:
    machine.checks.append(Looked("disk", ok=False, text="full", remedy="Make room."))
    said = machine.paas("doctor", "--format", "json", caller=KEY)
    assert said.code == 1
    kernel, disk = json.loads(said.out)
    assert (kernel["ok"], disk["ok"], disk["remedy"]) == (True, False, "Make room.")
    report = machine.paas("report", "--format", "json")
    assert json.loads(report.out) == {"domain": "example.com"}


def test_an_upgrade_is_from_a_checkout_or_from_what_is_staged(machine: Machine) -> None:
    machine.paas("upgrade", "../new", caller=ROOT)
    machine.paas("upgrade", caller=ROOT)
    assert machine.server.told == [
        ("upgrade", machine.paas.folder / "../new"),
        ("upgrade", None),
    ]


def test_report_and_version(machine: Machine) -> None:
    assert "       Domain:                  example.com" in machine.paas("report").out
    assert machine.paas("version").out == f"paas {VERSION}\n"
