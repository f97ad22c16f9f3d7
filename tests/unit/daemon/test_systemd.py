"""The units say what runs, and nothing of their templates is left in them."""

from __future__ import annotations

import re
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from paas.daemon.background import NotStarted
from paas.daemon.local import APPS_S, SERVICES_S
from paas.daemon.services import Services
from paas.daemon.systemd import CONTROL, NEEDRESTART, SLICE, UNITS, Systemd, render
from paas.daemon.trial import Record, Trial
from paas.deploy.parts import Parts
from paas.engine.containers import KILL_SECONDS
from paas.host import processes
from paas.model.layout import Layout

LAYOUT = Layout(Path("/srv/100%/paas"))


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_filled_in_and_takes_no_specifier_from_a_path(unit: str) -> None:
    text = render((files("paas.daemon") / "units" / unit).read_text(), LAYOUT, "/p/bin/python")
    assert "{{" not in text
    assert "/p/bin/python -I -m paas" in text
    assert "/srv/100%/" not in text


def test_instances_are_delegated_and_end_with_no_process_but_the_last() -> None:
    """systemd ends a service, and all in its group, when the process it watches was killed."""
    text = template("paas-instances.service")
    assert "Delegate=yes" in text
    assert "Type=forking\nGuessMainPID=no\n" in text
    assert "PIDFile=" not in text


def test_instances_are_in_a_slice_of_their_own() -> None:
    """What they reserve of the memory counts as far as the group at the top is kept it."""
    assert f"Slice={SLICE}\n" in template("paas-instances.service")


def test_what_systemd_was_told_while_it_ran_goes_with_the_units() -> None:
    script = (Path(__file__).parents[3] / "install.sh").read_text()
    (removed,) = re.findall(rf"rm -rf {CONTROL}/paas\{{(.*)\}}\.d", script)
    assert {f"paas{each}" for each in removed.split(",")} == {SLICE, *UNITS}


def test_the_network_comes_before_the_instances_and_goes_after_them() -> None:
    """systemd stops in the reverse order of starting: they resolve names while they stop."""
    assert UNITS.index("paas-network.service") < UNITS.index("paas-instances.service")
    (after,) = (line for line in template("paas-instances.service").splitlines()
                if line.startswith("After="))  # fmt: skip
    assert "paas-network.service" in after.split()


@pytest.mark.parametrize("unit", ["paas-instances.service", "paas-proxy.service", "paasd.service"])
def test_a_restart_of_the_network_restarts_nothing_else(unit: str) -> None:
    bound = re.findall(r"^(?:Requires|BindsTo|PartOf)=(.*)$", template(unit), re.MULTILINE)
    assert "paas-network.service" not in " ".join(bound).split()


@pytest.mark.parametrize("unit", UNITS)
def test_no_unit_is_given_up(unit: str) -> None:
    text = template(unit)
    assert "Restart=always" in text
    assert "StartLimitIntervalSec=0" in text


@pytest.mark.parametrize("unit", UNITS)
def test_a_slow_start_is_not_killed_half_way(unit: str) -> None:
    """systemd's 90 s were over again and again on an emulated machine that was busy."""
    assert "TimeoutStartSec=300" in template(unit)


def test_nothing_is_killed_while_it_may_still_stop_by_itself() -> None:
    (seconds,) = re.findall(
        r"^TimeoutStopSec=(\d+)$", template("paas-instances.service"), re.MULTILINE
    )
    assert int(seconds) >= APPS_S + SERVICES_S + 2 * KILL_SECONDS


def test_every_unit_is_listed_in_the_uninstaller() -> None:
    """It removes them where the program is broken as well."""
    script = (Path(__file__).parents[3] / "install.sh").read_text()
    (removed,) = re.findall(r"rm -f /etc/systemd/system/paas\{(.*)\}\.service", script)
    assert {f"paas{each}.service" for each in removed.split(",")} == set(UNITS)
    assert f"rm -f {NEEDRESTART}\n" in script


def test_an_upgrade_of_libraries_restarts_nothing_that_requests_go_through() -> None:
    """Ubuntu's needrestart does so at night, unasked. It reads its files as Perl."""
    program = """
        our %nrconf = (override_rc => {});
        eval do { local(@ARGV, $/) = shift; <> };
        die $@ if $@;
        for my $unit (@ARGV) {
            print "$unit\n" if grep { $unit =~ /$_/ } keys %{$nrconf{override_rc}};
        }
    """
    file = str(files("paas.daemon") / "units/needrestart.conf")
    services = [*UNITS, "nginx.service", "dnsmasq.service", "paas-proxy.service.d"]
    argv = ["perl", "-we", program, file, *services]
    left = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert left.stderr == ""
    assert left.stdout.split() == [each for each in UNITS if each != "paasd.service"]


def template(unit: str) -> str:
    return (files("paas.daemon") / "units" / unit).read_text()


def test_another_root_than_the_default_has_no_units() -> None:
    assert not Systemd(LAYOUT).wanted
    assert not Systemd(LAYOUT).used


def test_behind_an_upgrade_that_was_cut_short_paasd_starts_again_to_go_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tmp_path / "asked"
    (tmp_path / "systemctl").write_text(f'#!/bin/sh\necho "$*" >>{asked}\n')
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setattr(processes, "SEARCH_PATH", f"{tmp_path}:{processes.SEARCH_PATH}")
    layout = Layout.at(tmp_path / "root")
    layout.root.mkdir()
    services, trial = Services(Parts(layout)), Trial(layout)
    with trial.held("test"):
        trial.begin(Record("/program", "old", "new"))
        monkeypatch.setattr(Systemd, "used", True)
        services.settle_upgrade()
    assert not asked.exists()
    monkeypatch.setattr(Systemd, "used", False)
    services.settle_upgrade()
    assert not asked.exists()
    monkeypatch.setattr(Systemd, "used", True)
    services.settle_upgrade()
    assert asked.read_text() == "--no-block restart paasd.service\n"
    trial.end()
    services.settle_upgrade()
    assert len(asked.read_text().splitlines()) == 1


def test_a_unit_that_does_not_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemctl(1) itself says where to look, and no more."""
    for name, script in (
        ("systemctl", 'echo "Job for $2 failed." >&2; exit 1'),
        ("journalctl", 'echo "$2: SystemExit: 9"; echo "Main process exited, status=9"'),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(processes, "SEARCH_PATH", f"{tmp_path}:{processes.SEARCH_PATH}")
    with pytest.raises(NotStarted) as caught:
        Systemd(LAYOUT).start(["paasd.service"])
    assert caught.value.brief == "systemd cannot start paasd.service"
    assert caught.value.details == (
        "--unit=paasd.service: SystemExit: 9",
        "Main process exited, status=9",
    )
    assert "journalctl --no-pager --unit=paasd.service" in str(caught.value)
