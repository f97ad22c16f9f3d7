"""Whatever is taken away, `ensure` puts back; whatever fails, nobody is left elsewhere."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from paas.engine.network.addresses import CANDIDATES, Backend, PrefixesTaken
from paas.engine.network.hostside import PrefixTaken
from paas.host import netlink, syscalls
from paas.host.firewall import Firewall, FirewallFailed
from paas.host.netlink import OWN_NAMESPACE, Netlink, Route
from tests.engine.network.world import (
    INTERNET,
    METADATA,
    Instance,
    World,
    ask,
    connect,
    nft,
)
from tests.push.outcome import eventually

WEB = "app:1/web"


def serving(world: World) -> tuple[IPv4Address, Instance]:
    """A service with one backend, and the instance behind it."""
    world.serve(world.outside, "internet", 80)
    service = world.network.service(WEB)
    instance = world.instance("web")
    world.network.set_backends({WEB: [Backend(world.address("web"), 5000)]})
    return service.slots[0], instance


def works(world: World, slot: IPv4Address, instance: Instance) -> None:
    assert ask(world.host, slot, 80).startswith("web")
    assert ask(instance.namespace, INTERNET, 80).startswith("internet")
    with pytest.raises(ConnectionRefusedError):
        connect(instance.namespace, METADATA, 80)


def test_a_network_that_finds_no_room_can_be_taken_down(bare_world: World) -> None:
    with Netlink() as net:
        for taken in CANDIDATES:
            net.set_route(Route(taken, metric=7))
    with pytest.raises(PrefixesTaken):
        bare_world.network.ensure()
    bare_world.network.stop_resolver()
    bare_world.network.teardown()
    assert list(bare_world.network.directory.iterdir()) == []


def test_ensure_twice_changes_nothing(world: World) -> None:
    slot, instance = serving(world)
    before = instance.namespace.stat().st_ino, router_inode(world)
    world.network.ensure()
    assert (instance.namespace.stat().st_ino, router_inode(world)) == before
    works(world, slot, instance)


def test_after_a_flush_on_the_host(world: World) -> None:
    slot, instance = serving(world)
    nft(world.host, "flush ruleset")
    assert ask(world.host, slot, 80).startswith("web")
    world.network.ensure()
    works(world, slot, instance)


def test_after_a_flush_in_the_router(world: World) -> None:
    slot, instance = serving(world)
    nft(world.network._router.path, "flush ruleset")
    world.network.ensure()
    works(world, slot, instance)


def test_a_service_can_be_moved_after_a_flush_in_the_router(world: World) -> None:
    slot, instance = serving(world)
    nft(world.network._router.path, "flush ruleset")
    world.network.set_backends({WEB: [Backend(world.address("web"), 5000)]})
    works(world, slot, instance)


def test_after_a_table_of_another_version(world: World) -> None:
    slot, instance = serving(world)
    nft(
        world.network._router.path,
        "delete table ip paas; add table ip paas; add set ip paas denied { type ether_addr; }",
    )
    world.network.ensure()
    works(world, slot, instance)


def test_after_the_hosts_link_was_deleted(world: World) -> None:
    slot, instance = serving(world)
    with Netlink() as net:
        link = net.link(world.network.interface)
        assert link
        net.delete_link(link.index)
    world.network.ensure()
    works(world, slot, instance)


def test_after_the_links_were_down_and_the_routes_gone(world: World) -> None:
    slot, instance = serving(world)
    with Netlink() as net:
        link = net.link(world.network.interface)
        assert link
        net.set_link(link.index, up=False)
        net.delete_route(Route(world.network.plan.prefix, metric=4096))
    world.network.ensure()
    works(world, slot, instance)


def test_after_a_reboot(world: World) -> None:
    slot, instance = serving(world)
    prefix = world.network.plan.prefix
    instance.end()
    world.network.teardown()
    world.network.ensure()
    assert world.network.plan.prefix == prefix
    assert world.network.address("web") is None
    with pytest.raises(ConnectionRefusedError):
        connect(world.host, slot, 80)
    again = world.instance("web")
    world.network.set_backends({WEB: [Backend(world.address("web"), 5000)]})
    assert world.network.service(WEB).slots[0] == slot
    works(world, slot, again)


def test_after_the_routers_namespace_was_unmounted(world: World) -> None:
    slot, _ = serving(world)
    syscalls.umount(world.network._router.path, syscalls.MNT_DETACH)
    world.network.ensure()
    again = world.instance("again")
    world.network.set_backends({WEB: [Backend(world.address("again"), 5000)]})
    assert ask(world.host, slot, 80).startswith("again")
    assert again.pid


def test_a_namespace_that_outlives_its_container_is_cut_off_and_swept(world: World) -> None:
    """Somebody joined it, or holds it open: the kernel does not end it with the container."""
    slot, kept = serving(world)
    instance = world.instance("left")
    name = world.network.plan.interface_of(world.address("left"))
    assert ask(instance.namespace, INTERNET, 80).startswith("internet")
    world.network.detach("left")
    with pytest.raises(OSError, match="No route to host"):
        connect(instance.namespace, INTERNET, 80)
    assert name in router_links(world)
    world.network.ensure()
    assert name not in router_links(world)
    works(world, slot, kept)


def test_a_veth_goes_with_the_namespace(world: World) -> None:
    instance = Instance()
    name = world.network.plan.interface_of(world.network.attach("gone", instance.pid))
    instance.end()
    world.network.detach("gone")
    eventually(lambda: name not in router_links(world))


def router_links(world: World) -> set[str]:
    with netlink.inside(world.network._router.path), Netlink() as net:
        return {link.name for link in net.links()}


def test_an_error_inside_a_namespace_leads_back(world: World) -> None:
    home = OWN_NAMESPACE.stat().st_ino
    with pytest.raises(RuntimeError), netlink.inside(world.network._router.path):
        assert OWN_NAMESPACE.stat().st_ino != home
        raise RuntimeError
    with pytest.raises(OSError, match="setns"), netlink.inside(Path("/proc/self/ns/uts")):
        pass
    with pytest.raises(FileNotFoundError), netlink.inside(Path("/nowhere")):
        pass
    assert OWN_NAMESPACE.stat().st_ino == home


def test_a_refused_change_keeps_the_librarys_words_and_changes_nothing(world: World) -> None:
    firewall = Firewall(world.network._router.path)
    before = firewall.read("list table ip paas")
    with pytest.raises(FirewallFailed, match="No such file or directory") as failure:
        firewall.apply("flush chain ip paas forward\ndelete chain ip paas nowhere\n")
    assert "nowhere" in failure.value.commands
    assert firewall.read("list table ip paas") == before


def test_a_container_that_died_before_it_was_attached_is_named(world: World) -> None:
    instance = Instance()
    instance.end()
    with pytest.raises(ProcessLookupError, match="web"):
        world.network.attach("web", instance.pid)
    world.network.detach("web")


def test_a_prefix_that_the_host_uses_already_is_not_chosen(bare_world: World) -> None:
    with Netlink() as net:
        up = net.link("up0")
        assert up
        taken = IPv4Network("10.200.0.0/14")
        net.set_route(Route(taken, link=up.index))
    bare_world.network.ensure()
    assert not bare_world.network.plan.prefix.overlaps(taken)


def test_a_prefix_that_something_else_took_later_is_named(world: World) -> None:
    inside = IPv4Network(f"{world.network.plan.prefix[512]}/24")
    with Netlink() as net:
        up = net.link("up0")
        assert up
        net.set_route(Route(inside, link=up.index))
    with pytest.raises(PrefixTaken, match=str(inside)):
        world.network.ensure()


def test_where_the_prefix_is_anothers_a_network_that_comes_there_takes_another(
    bare_world: World,
) -> None:
    network = bare_world.network
    before = network.plan.prefix
    network.prefix.settle()
    assert network.plan.prefix == before
    with Netlink() as net:
        up = net.link("up0")
        assert up
        net.set_route(Route(IPv4Network(f"{before[512]}/24"), link=up.index))
    network.prefix.settle()
    assert not network.plan.prefix.overlaps(before)
    network.ensure()
    chosen = network.plan.prefix

    # What has addresses keeps them.
    with Netlink() as net:
        net.set_route(Route(IPv4Network(f"{chosen[512]}/24"), link=up.index))
    network.prefix.settle()
    assert network.plan.prefix == chosen


def test_where_no_prefix_is_free_what_is_in_the_way_is_named(bare_world: World) -> None:
    before = bare_world.network.plan.prefix
    with Netlink() as net:
        up = net.link("up0")
        assert up
        net.set_route(Route(IPv4Network("10.0.0.0/8"), link=up.index))
    bare_world.network.prefix.settle()
    assert bare_world.network.plan.prefix == before
    with pytest.raises(PrefixTaken, match=r"10\.0\.0\.0/8"):
        bare_world.network.ensure()


def test_teardown_leaves_nothing_on_the_host(bare_world: World) -> None:
    with Netlink() as net:
        links, routes = net.links(), net.routes()
    bare_world.network.ensure()
    bare_world.network.teardown()
    with Netlink() as net:
        assert (net.links(), net.routes()) == (links, routes)
    tables = [item["table"] for item in Firewall().read() if "table" in item]
    assert tables == []


def test_instances_have_the_mtu_of_the_uplink_also_when_it_shrinks(world: World) -> None:
    before = world.instance("before")
    with Netlink() as net:
        up = net.link("up0")
        assert up
        net.set_link(up.index, mtu=1380)
    world.network.ensure()
    after = world.instance("after")
    sizes = []
    for where, name in (
        (before.namespace, "eth0"),
        (after.namespace, "eth0"),
        (world.host, world.network.interface),
    ):
        with netlink.inside(where), Netlink() as net:
            link = net.link(name)
            assert link
            sizes.append(link.mtu)
    assert sizes == [1500, 1380, 1380]


def test_many_threads_attach_and_detach_at_once(world: World) -> None:
    instances = [Instance() for _ in range(8)]
    world.network.allow("app:1", "app:1")

    def come_and_go(number: int) -> IPv4Address:
        address = world.network.attach(f"c{number}", instances[number].pid, owner="app:1")
        world.network.detach(f"c{number}")
        return address

    try:
        with ThreadPoolExecutor(len(instances)) as pool:
            addresses = list(pool.map(come_and_go, range(len(instances))))
    finally:
        for instance in instances:
            instance.end()
    assert len(set(addresses)) == len(instances)
    assert world.network.links_in_use() == frozenset()


def test_the_global_switch_is_left_alone(world: World) -> None:
    world.instance("web")
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == "0\n"


def router_inode(world: World) -> int:
    return world.network._router.path.stat().st_ino


def test_a_firewall_that_nobody_has_any_more_keeps_nothing_open(world: World) -> None:
    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    Firewall(world.host).read("list tables")
    before = opened()
    for _ in range(3):
        Firewall(world.host).read("list tables")
    assert opened() == before
