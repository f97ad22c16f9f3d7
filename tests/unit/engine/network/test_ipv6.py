"""What is read of the host's IPv6, and what is made of it."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import pytest

from paas.engine.network.addresses import Plan
from paas.engine.network.ipv6 import Plan6, Uplink6, plan_of, uplink6
from paas.engine.network.policy6 import host_table6, router_table6

ZERO = "0" * 32
PLAN = Plan(IPv4Network("10.201.0.0/16"))


def line(target: str, length: int, interface: str, *, flags: int, metric: int = 1024) -> str:
    return (
        f"{target} {length:02x} {ZERO} 00 {ZERO} {metric:08x} 00000001 00000000"
        f" {flags:08x} {interface:>8}\n"
    )


OWN = "2a000db8000000000000000000000002"
LAN = "2a000db8000000000000000000000000"
ROUTES = (
    line(ZERO, 0, "lo", flags=0x200200, metric=0xFFFFFFFF)
    + line(ZERO, 0, "eth1", flags=0x3, metric=2048)
    + line(ZERO, 0, "eth0", flags=0x3)
    + line(LAN, 64, "eth0", flags=0x1)
    + line(OWN, 128, "eth0", flags=0x80200001)
    + line("fd000000000000000000000000000000", 64, "paas0", flags=0x1)
)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """The interfaces of a host that does not forward, of a kernel with one switch."""
    for name in ("all", "eth0"):
        (tmp_path / "conf" / name).mkdir(parents=True)
    (tmp_path / "conf/all/forwarding").write_text("0\n")
    (tmp_path / "routes").write_text(ROUTES)
    return tmp_path / "conf"


def found(conf: Path) -> Uplink6 | None:
    return uplink6("paas0", conf, conf.parent / "routes")


def test_the_switch_for_all_interfaces_is_not_ours_to_turn(conf: Path) -> None:
    assert found(conf) is None


def test_a_host_without_ipv6_or_a_way_out_has_none(conf: Path) -> None:
    (conf / "all/forwarding").write_text("1\n")
    (conf.parent / "routes").write_text(line(ZERO, 0, "lo", flags=0x200200))
    assert found(conf) is None
    (conf.parent / "routes").unlink()
    assert found(conf) is None


@pytest.mark.parametrize("how", ["all/forwarding", "eth0/force_forwarding"])
def test_the_best_way_out_and_what_is_the_hosts(conf: Path, how: str) -> None:
    (conf / how).write_text("1\n")
    local = (IPv6Network("2a00:db8::/64"), IPv6Network("2a00:db8::2/128"))
    assert found(conf) == Uplink6("eth0", local)


def test_a_prefix_is_private_its_own_and_stays(tmp_path: Path) -> None:
    machine = tmp_path / "machine-id"
    machine.write_text("a\n")
    plan = plan_of(PLAN, "paas", machine)
    assert plan.prefix.subnet_of(IPv6Network("fd00::/8"))
    assert plan.prefix.prefixlen == 64
    assert plan == plan_of(PLAN, "paas", machine)
    assert plan != plan_of(PLAN, "other", machine)
    machine.write_text("b\n")
    assert plan != plan_of(PLAN, "paas", machine)
    assert plan.address(0x1234) == plan.prefix[0x1234]


def test_without_a_plan_the_tables_end() -> None:
    for text in (router_table6(None, ()), host_table6("paas", "paas0", None)):
        assert text.splitlines()[-1].startswith("delete table ip6 ")


def test_networks_of_the_host_are_denied() -> None:
    plan = Plan6(IPv6Network("fd12::/64"))
    local = [IPv6Network("2a00:db8::/64"), IPv6Network("2a00:db8::2/128"), IPv6Network("fe80::/64")]
    text = router_table6(plan, local)
    assert "elements = { 2001::/32, 2002::/16, 2a00:db8::/64 }" in text
