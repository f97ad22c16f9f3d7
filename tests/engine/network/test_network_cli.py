"""The commands of networks over real packets and a real resolver's file."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from paas.deploy.naming import Naming
from paas.deploy.networks import Networks
from paas.engine.engine import Engine
from paas.engine.network.addresses import Backend
from paas.model.instance import InstanceState
from paas.model.role import Role
from tests.engine.network.world import World, ask, connect
from tests.unit.cli.caller import Paas


class Site:
    """Two apps with a `web` each, and one that nobody else may see."""

    def __init__(self, world: World, paas: Paas) -> None:
        self.world, self.paas = world, paas
        self.engine = Engine(paas.layout)
        self.engine.network = world.network
        self.naming = Naming(paas.store, self.engine)
        paas.platform.networks = Networks(paas.store, self.engine, self.naming)
        paas.layout.locks.mkdir(parents=True)
        self.apps = {name: paas.store.apps.create(name) for name in ("shop", "api", "unseen")}
        self.instances = {name: self.serve(name, "web", 1) for name in ("shop", "api")}

    def serve(self, name: str, kind: str, index: int) -> Path:
        """An instance of an app, as a deploy leaves it; its network namespace."""
        app, container = self.apps[name], f"{name}-{kind}-{index}"
        instance = self.world.instance(container, owner=f"app:{app.id}")
        address = self.world.address(container)
        row = self.paas.store.instances.add(
            app_id=app.id, release=1, process_type=kind, index=index, container=container,
            address=str(address), port=5000, deploy=None,
        )  # fmt: skip
        self.paas.store.instances.set_state(row.id, InstanceState.LIVE)
        if kind == "web":
            key = f"app:{app.id}/web"
            self.world.network.service(key)
            self.world.network.set_backends({key: [Backend(address, 5000)]})
        return instance.namespace

    def names(self) -> dict[str, set[str]]:
        """What the resolver answers, without the domain."""
        found: dict[str, set[str]] = {}
        text = (self.world.network.resolver.hosts / "apps").read_text()
        for line in text.splitlines():
            address, name = line.split()
            found.setdefault(name.removesuffix(".internal"), set()).add(address)
        return found

    def asks(self, source: str, name: str, port: int = 80) -> str:
        """Who answers an app that looks a name up."""
        [address] = self.names()[name]
        return ask(self.instances[source], IPv4Address(address), port)


@pytest.fixture
def site(world: World, tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "cli").mkdir()
    paas = Paas(tmp_path / "cli")
    yield Site(world, paas)
    paas.store.close()


def test_refused(site: Site) -> None:
    paas = site.paas
    paas("network:create", "back")
    for words, complaint in (
        (("create", "back"), "There is a network back already"),
        (("create", "No.Name"), "cannot be the name of a network"),
        (("set", "shop", "attach-post-deploy", "front"), "There is no network front"),
        (("set", "shop", "colour", "red"), "There is no property 'colour'"),
        (("set", "shop", "bind-all-interfaces", "true"), "cannot be set here"),
        (("set", "shop", "attach-post-deploy", "back", "--alias", "a.b"), "cannot be an alias"),
        (("set", "shop", "attach-post-deploy", "--alias", "a"), "name that too"),
        (("link", "shop", "shop"), "cannot be linked to itself"),
        (("link", "shop", "nope"), "nope does not exist"),
        (("destroy", "back"), "no terminal"),
        (("destroy", "front", "--force"), "There is no network front"),
        (("info", "front"), "There is no network front"),
    ):
        said = paas(f"network:{words[0]}", *words[1:])
        assert said.code != 0, words
        assert complaint in said.err, words
    with pytest.raises(ConnectionRefusedError):
        connect(site.instances["shop"], site.world.address("api-web-1"), 5000)


def test_apps_of_one_network_find_and_reach_each_other(site: Site) -> None:
    paas = site.paas
    paas("network:create", "back")
    assert paas("network:set", "api", "attach-post-deploy", "back", "--alias", "backend").code == 0
    assert paas("network:set", "shop", "initial-network", "back").code == 0
    site.serve("api", "worker", 1)
    site.serve("api", "worker", 2)
    site.naming.publish()
    for name in ("api", "api.web", "backend"):
        assert site.asks("shop", name).startswith("api-web-1"), name
    assert site.asks("shop", "api.web.1", 5000).startswith("api-web-1")
    assert site.asks("shop", "api.worker.2", 5000).startswith("api-worker-2")
    assert len(site.names()["api.worker"]) == 2
    assert "unseen" not in site.names()
    assert "has api, shop in it" in paas("network:destroy", "back", "--force").err
    for app in ("api", "shop"):
        assert paas("network:set", app, "attach-post-deploy").code == 0
    assert site.names() == {}
    with pytest.raises(ConnectionRefusedError):
        connect(site.instances["shop"], site.world.address("api-web-1"), 5000)
    assert paas("network:destroy", "back", "--force").code == 0


def test_a_link_is_one_way(site: Site) -> None:
    paas = site.paas
    assert paas("network:link", "shop", "api").code == 0
    assert site.asks("shop", "api").startswith("api-web-1")
    with pytest.raises(ConnectionRefusedError):
        connect(site.instances["api"], site.world.address("shop-web-1"), 5000)
    assert "Links: " in paas("network:report", "shop").out.replace("Links:    ", "Links: ")
    assert paas("network:unlink", "shop", "api").code == 0
    assert site.names() == {}


def test_a_member_sees_the_networks_of_their_apps_alone(site: Site) -> None:
    paas = site.paas
    for network, apps in (("back", ("shop", "unseen")), ("secret", ("unseen",))):
        paas("network:create", network)
        for app in apps:
            paas("network:set", app, "attach-post-deploy", "back", network)
    bob = paas.let_in("bob", admin=False)
    paas.store.users.give("bob", site.apps["shop"].id, Role.OWNER)
    assert paas("network:list", "--quiet", caller=bob).lines == ["back"]
    assert paas("network:info", "back", caller=bob).out.count("unseen") == 0
    assert paas("network:exists", "secret", caller=bob).code != 0
    assert "You may not" in paas("network:link", "shop", "unseen", caller=bob).err
    assert "You may not" in paas("network:create", "mine", caller=bob).err
    assert paas("network:list", "--quiet").lines == ["back", "secret"]
