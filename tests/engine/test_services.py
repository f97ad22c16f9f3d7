"""A server's processes, with a root of their own: up, killed, mended, down, gone."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.daemon.background import NotStarted
from paas.daemon.checks.check import Check
from paas.daemon.doctor import Doctor
from paas.daemon.local import Local
from paas.daemon.services import Services
from paas.deploy.parts import Parts
from paas.engine.holder import LEAF as HOLDER
from paas.host.files import remove_tree
from paas.host.identity import Identity
from paas.model.layout import Layout
from paas.model.report import Silent
from paas.model.settings import DOMAIN, HTTP_ADDRESS, HTTP_PORT
from paas.proxy.nginx import NginxFailed
from paas.proxy.workers import accepts, children
from tests.ports import free_port
from tests.push.outcome import eventually


@pytest.fixture
def parts() -> Iterator[Parts]:
    folder = Path(tempfile.mkdtemp(prefix="paas-services-", dir="/var/lib"))
    folder.chmod(0o711)
    layout = Layout.at(folder / "root")
    parts = Parts(layout)
    yield parts
    services = Services(Parts(layout))
    services.down(services.names, Silent())
    services.purge()
    remove_tree(folder)


@pytest.fixture
def services(parts: Parts) -> Services:
    """Prepared, with its settings; nothing runs yet."""
    services = Services(parts)
    services.prepare(Silent())
    for setting, value in ((HTTP_PORT, str(free_port())), (HTTP_ADDRESS, "127.0.0.1")):
        parts.store.settings.set(None, setting.name, value)
    parts.store.settings.set(None, DOMAIN.name, "services.test")
    return services


def pid_of(parts: Parts, name: str) -> int:
    pid = Local(parts).background(name).running()
    assert pid is not None
    return pid


def proxy_pid(parts: Parts) -> int:
    return int((parts.layout.run / "proxy/nginx.pid").read_text())


def kill(pid: int) -> None:
    process = Identity.of(pid)
    assert process is not None
    assert process.signal(signal.SIGKILL)
    assert process.wait(60)


def names_of(layout: Layout) -> set[str]:
    """What of a PaaS is left on the machine."""
    found = set()
    if layout.id in Path("/etc/passwd").read_text() + Path("/etc/subuid").read_text():
        found.add("users")
    if str(layout.run) in Path("/proc/self/mountinfo").read_text():
        found.add("mounts")
    if Path(f"/sys/class/net/{layout.id}0").exists():
        found.add("interface")
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True)
    if layout.id in tables.stdout:
        found.add("tables")
    for place in (layout.root, layout.run):
        if place.exists():
            found.add(str(place))
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(layout.root).encode() in line.read_bytes():
                found.add("processes")
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def unwell(parts: Parts) -> list[Check]:
    """What the doctor finds; nobody has an sshd here."""
    return [check for check in Doctor(parts).examine() if not check.ok and check.name != "sshd"]


def test_a_port_that_is_taken_starts_nothing_more_and_says_so(
    services: Services, parts: Parts
) -> None:
    port = parts.store.settings.value(HTTP_PORT)
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(NginxFailed, match="nginx does not start"),
    ):
        services.up(services.names, Silent())
    assert Local(parts).background("paasd").running() is None


def test_a_paasd_that_cannot_start_says_why(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services._local, "_program", lambda _: ("paas.no_such_module",))
    with pytest.raises(NotStarted) as caught:
        services.up(["paasd"], Silent())
    assert "No module named" in str(caught.value)


def test_up_is_idempotent_and_everything_is_detached(services: Services, parts: Parts) -> None:
    services.up(services.names, Silent())
    before = [pid_of(parts, name) for name in ("instances", "paasd")]
    services.up(services.names, Silent())
    assert [pid_of(parts, name) for name in ("instances", "paasd")] == before
    for pid in before:
        assert os.getsid(pid) == pid
        assert Path(f"/proc/{pid}/fd/0").readlink() == Path("/dev/null")
        assert Path(f"/proc/{pid}/fd/1").readlink().is_relative_to(parts.layout.logs)
    # It gives the resolver three seconds, once.
    eventually(lambda: unwell(parts) == [])


def test_paasd_restarts_alone(services: Services, parts: Parts) -> None:
    services.up(services.names, Silent())
    holder, paasd = pid_of(parts, "instances"), pid_of(parts, "paasd")
    services.restart("paasd")
    assert pid_of(parts, "instances") == holder
    assert pid_of(parts, "paasd") != paasd


def test_what_was_killed_is_started_again_and_nothing_else(
    services: Services, parts: Parts
) -> None:
    services.up(services.names, Silent())
    paasd, holder = pid_of(parts, "paasd"), pid_of(parts, "instances")
    kill(holder)
    services.up(services.names, Silent())
    assert pid_of(parts, "paasd") == paasd
    assert pid_of(parts, "instances") != holder


def test_a_unit_that_lost_its_holder_stops_no_app_and_one_that_is_stopped_all(
    services: Services, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd calls for the end of a unit in either case (systemd.service(5), ExecStop)."""
    asked: list[str] = []
    monkeypatch.setattr(Local, "stop_instances", lambda _: asked.append("stop"))
    services.up(("network", "instances"), Silent())
    kill(pid_of(parts, "instances"))
    services.stop("instances")
    lost = [] if parts.engine.cgroups.version == 1 else ["stop"]
    assert asked == lost
    services.up(("network", "instances"), Silent())
    # As systemd does with version 1 when it is executed again.
    leaf = parts.engine.cgroups.leaf(HOLDER)
    for directory in leaf.directories if parts.engine.cgroups.version == 1 else ():
        (directory.parents[1] / "cgroup.procs").write_text(str(pid_of(parts, "instances")))
    services.stop("instances")
    assert asked == [*lost, "stop"]


def test_a_resolver_that_died_is_mended(services: Services, parts: Parts) -> None:
    services.up(["network", "instances", "proxy"], Silent())
    nginx = proxy_pid(parts)
    resolver = parts.engine.network.resolver
    pid = resolver.running()
    assert pid is not None
    services.mend()
    assert resolver.running() == pid
    kill(pid)
    assert not resolver.running()
    services.mend()
    mended = resolver.running()
    assert mended not in (None, pid)
    # Not in the caller's group: paasd's end would be the end of what it has mended.
    groups = Path(f"/proc/{mended}/cgroup").read_text()
    assert f"/{parts.layout.id}/monitors/network" in groups
    assert proxy_pid(parts) == nginx


def test_a_resolver_without_its_pid_file_is_replaced(services: Services, parts: Parts) -> None:
    services.up(["network"], Silent())
    resolver = parts.engine.network.resolver
    before = resolver.running()
    resolver.pid_file.unlink()
    services.mend()
    assert resolver.running() not in (None, before)


def test_a_unit_starts_a_resolver_of_its_own(services: Services, parts: Parts) -> None:
    services.up(["network"], Silent())
    before = parts.engine.network.resolver.running()
    services.start("network")
    assert parts.engine.network.resolver.running() not in (None, before)


def test_a_killed_nginx_is_mended_and_the_resolver_is_left_alone(
    services: Services, parts: Parts
) -> None:
    services.up(["network", "instances", "proxy"], Silent())
    resolver = parts.engine.network.resolver.running()
    killed = proxy_pid(parts)
    kill(killed)
    assert not parts.proxy.running()
    services.mend()
    assert parts.proxy.running()
    assert proxy_pid(parts) != killed
    assert parts.engine.network.resolver.running() == resolver


def changing(parts: Parts) -> tuple[int, list[int]]:
    """As a process leaves it that is killed while another nginx takes over: the old master, and
    its workers, which accept on beside those of the new one."""
    old = proxy_pid(parts)
    workers = children(old)
    os.kill(old, signal.SIGUSR2)
    nginx = parts.proxy._nginx
    eventually(lambda: nginx.running() not in (None, old) and nginx.generation() is not None)
    assert any(map(accepts, workers))
    return old, workers


def test_a_change_of_nginx_that_was_killed_comes_to_its_end(
    services: Services, parts: Parts
) -> None:
    services.up(["network", "instances", "proxy"], Silent())
    old, workers = changing(parts)
    new = proxy_pid(parts)
    services.mend()
    assert not any(map(accepts, workers))
    eventually(lambda: Identity.of(old) is None)
    services.mend()
    assert proxy_pid(parts) == new
    services.publish(Silent())
    assert parts.proxy.running()


def test_both_are_stopped_of_two_nginx(services: Services, parts: Parts) -> None:
    services.up(["network", "instances", "proxy"], Silent())
    old, workers = changing(parts)
    new = proxy_pid(parts)
    services.down(["proxy"], Silent())
    assert not any(map(accepts, workers))
    eventually(lambda: Identity.of(old) is None and Identity.of(new) is None)


def test_a_resolver_whose_configuration_changed_is_started_again(
    services: Services, parts: Parts
) -> None:
    services.up(["network", "instances", "proxy"], Silent())
    resolver = parts.engine.network.resolver
    before, nginx = resolver.running(), proxy_pid(parts)
    # As if the host had been configured otherwise when it was started.
    resolver.configuration_file.write_text("# other mirrors\n")
    services.mend()
    assert resolver.current
    assert resolver.running() != before
    assert proxy_pid(parts) == nginx


def test_what_is_down_leaves_its_data_alone_and_comes_up_again(
    services: Services, parts: Parts
) -> None:
    services.up(services.names, Silent())
    services.down(services.names, Silent())
    services.vanish()
    assert names_of(parts.layout) == {"users", str(parts.layout.root)}
    again = Services(Parts(parts.layout))
    again.prepare(Silent())
    again.up(again.names, Silent())
    eventually(lambda: unwell(parts) == [])


def test_purge_leaves_nothing(services: Services, parts: Parts) -> None:
    layout = parts.layout
    services.up(services.names, Silent())
    assert names_of(layout) >= {"users", "mounts", "interface", "tables", "processes"}
    services.down(services.names, Silent())
    assert "processes" not in names_of(layout)
    services.purge()
    assert names_of(layout) == set()
    with pytest.raises(KeyError):
        pwd.getpwnam(layout.user)
