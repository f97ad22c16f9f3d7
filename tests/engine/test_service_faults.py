"""Services whose passwords, versions and links are changed while something fails or is killed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.request import urlopen

import pytest

from paas.deploy.edge import Edge, PortUnusable
from paas.deploy.running import owner_of as owner_of_app
from paas.deploy.services_expose import ServiceExposures, Wanted
from paas.deploy.services_link import LinkWish, leavers
from paas.deploy.services_route import NAMES
from paas.host.waiting import at_most
from paas.model.env import Secret
from paas.model.port import Port, Scheme
from paas.model.processes import STOP_TIMEOUT
from paas.model.report import Silent
from paas.model.service import Link, Service, ServiceState
from paas.model.settings import DRAIN_SECONDS
from paas.plugin.installed import folder_of
from paas.plugin.service_runner import owner_of
from tests.engine.shop import PLUGINS, Shop
from tests.engine.world import World
from tests.killing import counted_effects, dies_before, forked, moments
from tests.ports import free_port
from tests.push.outcome import eventually

pytestmark = pytest.mark.turns(2)

MOST = int(os.environ.get("PAAS_KILLS", "6"))
"""Times that a command is killed, evenly spread over its effects."""

WITHOUT_SERVICE = """
[plugin]
name = "vault"
title = "Vault"
description = "It has become something else"
version = "2.0"

[[proxy]]
name = "vault-csp"
help = "The Content-Security-Policy of every response"
type = "text"
directives = 'add_header Content-Security-Policy "@value@" always;'
"""

URL = "VAULT_URL"
ELSEWHERE = "vault://of-somebody-else"


@pytest.fixture(scope="module")
def shop(world: World) -> Shop:
    shop = Shop(world)
    # Nobody here waits for old instances to end: their first process ignores SIGTERM.
    world.parts.store.settings.set(None, DRAIN_SECONDS.name, "0")
    world.parts.store.processes.set(None, "", STOP_TIMEOUT.name, "1")
    shutil.copytree(PLUGINS / "vault", world.folder / "vault")
    world.parts.engine.images.tag("paas/busybox:1", world.image)
    shop.run(f"plugin:install {world.folder}/vault")
    shop.run("plugin:enable vault")
    return shop


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor's tidying may have the service to itself for a while."""
    monkeypatch.setattr("paas.deploy.services.PATIENCE_SECONDS", 60.0)


class Vault:
    """A service whose server shows which passwords are valid."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.world, self.parts = shop.world, shop.world.parts
        shop.run("vault:create v")

    @property
    def row(self) -> Service:
        return self.parts.store.services.get("vault", "v")

    @property
    def password(self) -> str:
        return self.row.credentials["password"].reveal()

    @property
    def known(self) -> set[str]:
        """The passwords of which the store knows."""
        outdated = (each["password"].reveal() for each in self.row.outdated)
        return {self.password, *outdated}

    @property
    def valid(self) -> set[str]:
        """Those that the server lets in by."""
        volume = self.world.layout.engine_fs / "volumes" / self.row.volume
        return {path.name for path in (volume / "valid").iterdir()}

    def url(self, app: str) -> str | None:
        """What an app will be given."""
        found = self.parts.store.config.get(self.parts.store.apps.get(app).id).get(URL)
        return found.reveal() if found is not None else None

    def given(self, app: str) -> str:
        """What the live release of an app was given."""
        now = self.parts.store.apps.get(app)
        return self.parts.store.releases.get(now.id, now.live or 0).config[URL].reveal()

    @property
    def current_url(self) -> str:
        return self.parts.service_links.url(self.row)

    def spoken(self) -> str:
        """What its server says through the port that it is exposed on that it speaks."""
        exposure = self.parts.service_exposures.of(self.row)
        assert exposure is not None
        with urlopen(f"http://127.0.0.1:{exposure.port}/spoken") as answer:
            return str(answer.read().decode().strip())

    def settled(self) -> None:
        """Let a supervisor tidy, and start what should run."""
        self.shop.tidied()
        for service in self.parts.service_care.ailing():
            self.parts.service_care.heal(service)


@pytest.fixture
def vault(shop: Shop) -> Iterator[Vault]:
    vault = Vault(shop)
    yield vault
    for link in vault.parts.store.links.of_service(vault.row.id):
        app = vault.parts.store.apps.by_id(link.app_id)
        assert app is not None
        shop.run(f"vault:unlink --no-restart v {app.name}")
    for name in ("shop", "other"):
        shop.run(f"config:unset --no-restart {name} {URL}")
    shop.run("vault:destroy v --force")


@contextmanager
def locked(shop: Shop, app: str) -> Iterator[None]:
    shop.run(f"apps:lock {app} --reason busy")
    try:
        yield
    finally:
        shop.run(f"apps:unlock {app}")


# -- passwords ---------------------------------------------------------------------------------


def test_a_rotation_goes_past_an_app_that_cannot_be_deployed_and_says_so(
    shop: Shop, vault: Vault
) -> None:
    shop.run("vault:link v shop")
    shop.run("vault:link v other")
    first = vault.password
    with shop.world.supervised():
        with locked(shop, "shop"):
            said = shop.refused("vault:rotate v")
            assert "not every app has the new one yet" in said
            assert "shop has the old one: shop currently has a deploy lock in place" in said
            assert "other has" not in said
            assert vault.given("other") == vault.current_url != vault.given("shop")
            assert vault.valid == {first, vault.password}
            # Not even one more forgets what was valid before the last one.
            shop.refused("vault:rotate v")
            assert first in vault.valid
            assert vault.valid == vault.known
        assert vault.given("other") == vault.current_url
        # What it is next deployed with is the new one: then nobody has the old ones.
        shop.run("ps:restart shop")
        assert vault.given("shop") == vault.current_url
        eventually(lambda: vault.valid == vault.known == {vault.password})


def test_a_rotation_killed_at_any_step_leaves_no_password_that_the_next_does_not_end(
    shop: Shop, vault: Vault
) -> None:
    rotate = partial(shop.run, "vault:rotate v")
    shop.run("vault:link v shop")
    with shop.world.supervised():
        tried = moments(counted_effects(rotate), MOST)
        killed = [effect for effect in tried if rotation_dies(vault, effect)]
    assert len(killed) >= len(tried) // 2


def rotation_dies(vault: Vault, effect: int) -> bool:
    """Kill one there, and have another one end all that is old."""
    rotate = partial(vault.shop.run, "vault:rotate v")
    dead = dies_before(effect, rotate)
    assert vault.parts.services.is_up(vault.row), effect
    # The two are read one after the other, and old ones may be ended in between.
    eventually(lambda: vault.valid <= vault.known)
    # Neither of the two shuts anybody out.
    assert vault.url("shop") in {url(vault, each) for each in vault.valid}, effect
    rotate()
    eventually(lambda: vault.valid == vault.known == {vault.password})
    assert vault.given("shop") == vault.url("shop") == vault.current_url, effect
    return dead


def url(vault: Vault, password: str) -> str:
    then = replace(vault.row, credentials={"password": Secret(password)})
    return vault.parts.service_links.url(then)


def test_what_is_granted_and_nobodys_is_ended_by_the_supervisor(shop: Shop, vault: Vault) -> None:
    """A rotation that was killed between the two, and one whose end was killed behind it."""
    services, row = vault.parts.store.services, vault.row
    (granted, forgotten) = ({"password": Secret(each)} for each in ("granted", "forgotten"))
    services.set_outdated(row, (granted, forgotten))
    vault.parts.services.access.grant(row, row.container or "", granted)
    assert vault.valid == {vault.password, "granted"}
    shop.tidied()
    assert vault.valid == vault.known == {vault.password}


def test_an_old_password_that_an_app_has_outlives_the_server(shop: Shop, vault: Vault) -> None:
    shop.run("vault:link v shop")
    first = vault.password
    with locked(shop, "shop"):
        shop.refused("vault:rotate v")
    shop.run("vault:restart v")
    assert vault.valid == {first, vault.password}
    vault.parts.services.runner.kill(vault.row.container or "")
    vault.settled()
    assert vault.valid == {first, vault.password}
    shop.run("vault:unlink v shop --no-restart")
    shop.tidied()
    assert vault.valid == {vault.password}


def test_the_password_of_a_one_off_is_valid_until_that_has_ended(shop: Shop, vault: Vault) -> None:
    parts = vault.parts
    shop.run("vault:link v shop")
    app, first = parts.store.apps.get("shop"), vault.password

    def begin() -> str:
        return parts.detached.start(app, parts.live(app), ["/bin/sleep", "600"], {})

    older = begin()
    with shop.world.supervised():
        code, said = shop.answer("vault:rotate v")
        assert code == 0
        assert f"The old password stays valid until this has ended: {older} of shop" in said
        newer = begin()
        eventually(lambda: not leavers(parts.store, [app]))
        shop.tidied()
        assert vault.valid == vault.known == {first, vault.password}
        parts.detached.stop(app, older)
        # Who was given the new one keeps nobody's.
        eventually(lambda: vault.valid == vault.known == {vault.password})
        assert parts.detached.stop(app, None) == [newer]


def test_the_password_of_a_copy_is_valid_until_that_is_made(shop: Shop, vault: Vault) -> None:
    first = vault.password
    with vault.parts.services.copying(vault.row, "being backed up by ann"):
        code, said = shop.answer("vault:rotate v")
        assert code == 0
        assert "stays valid until this has ended: v is being backed up by ann" in said
        shop.tidied()
        assert vault.valid == vault.known == {first, vault.password}
    shop.tidied()
    assert vault.valid == vault.known == {vault.password}


def test_a_rotation_leaves_an_app_alone_that_was_pointed_elsewhere(
    shop: Shop, vault: Vault
) -> None:
    shop.run("vault:link v shop --no-restart")
    shop.run(f"config:set shop {URL}={ELSEWHERE} --no-restart")
    first = vault.password
    shop.run("vault:rotate v")
    assert vault.url("shop") == ELSEWHERE
    assert first not in vault.valid
    shop.run("vault:unlink v shop --no-restart")
    assert vault.url("shop") == ELSEWHERE


def test_an_unlink_takes_an_outdated_url_away_too(shop: Shop, vault: Vault) -> None:
    shop.run("vault:link v shop --no-restart")
    services, row = vault.parts.store.services, vault.row
    # As a rotation leaves it that is killed before its first app.
    services.set_credentials(row, {"password": Secret("next")})
    services.set_outdated(row, (row.credentials,))
    shop.run("vault:unlink v shop --no-restart")
    assert vault.url("shop") is None


# -- links -------------------------------------------------------------------------------------


def test_a_service_that_is_being_ended_meanwhile_gets_no_link(shop: Shop) -> None:
    parts = shop.world.parts
    shop.run("vault:create brief")
    service, app = parts.store.services.get("vault", "brief"), parts.store.apps.get("shop")
    lock = parts.attempts.exclusive(app, "test")

    def link() -> None:
        lock.release_after_fork()
        shop.run("vault:link brief shop")

    with lock:
        pid = forked(link)
        eventually(parts.store.deploys.unfinished)
        # As `destroy` does before it waits for the server's end.
        parts.store.services.set_state(service.id, ServiceState.DESTROYING)
    assert os.waitpid(pid, 0)[1] != 0
    assert parts.store.links.of_service(service.id) == []
    assert URL not in parts.store.config.get(app.id)
    shop.tidied()
    assert parts.store.services.by_id(service.id) is None


@contextmanager
def waiting(shop: Shop, line: str) -> Iterator[None]:
    """A command that waits for the turn of the app `shop`, and has it behind the block."""
    parts = shop.world.parts
    lock = parts.attempts.exclusive(parts.store.apps.get("shop"), "test")

    def run() -> None:
        lock.release_after_fork()
        shop.run(line)

    with lock:
        pid = forked(run)
        eventually(parts.store.deploys.unfinished)
        yield
    assert os.waitpid(pid, 0)[1] == 0


def reaches(vault: Vault, app: str = "shop") -> bool:
    """Whether the instances of an app are let through to the service."""
    row = vault.parts.store.apps.get(app)
    links = vault.parts.engine.network.links
    return owner_of(vault.row.id) in links.targets_of(owner_of_app(row.id))


def test_an_older_link_that_ends_meanwhile_leaves_the_newer_one_its_network(
    shop: Shop, vault: Vault
) -> None:
    shop.run("vault:link v shop")
    with waiting(shop, "vault:link v shop --alias blue"):
        shop.run("vault:unlink v shop --no-restart")
        assert not reaches(vault)
    links = vault.parts.store.links.of_service(vault.row.id)
    assert [link.variable for link in links] == ["BLUE_URL"]
    assert reaches(vault)


def test_a_link_that_is_there_is_let_through_whoever_forbade_it(shop: Shop, vault: Vault) -> None:
    app = vault.parts.store.apps.get("shop")
    shop.run("vault:link v shop --no-restart")
    vault.parts.engine.network.forbid(owner_of_app(app.id), owner_of(vault.row.id))
    vault.parts.services.router.settle(vault.row.id, app.id)
    assert reaches(vault)


def test_a_promotion_brings_no_link_back_that_ended_meanwhile(shop: Shop, vault: Vault) -> None:
    parts = vault.parts
    shop.run("vault:link v shop --no-restart")
    shop.run("vault:create next")
    try:
        shop.run("vault:link next shop --no-restart")
        with waiting(shop, "vault:promote next shop"):
            shop.run("vault:unlink v shop --no-restart")
        assert parts.store.links.of_service(vault.row.id) == []
        second = parts.store.services.get("vault", "next")
        assert vault.url("shop") == parts.service_links.url(second)
        config = parts.store.config.get(parts.store.apps.get("shop").id)
        assert "VAULT_V_URL" not in config
        shop.run("vault:unlink next shop --no-restart")
    finally:
        shop.run("vault:destroy next --force")


def test_a_rotation_gives_no_url_to_an_app_that_is_unlinked_meanwhile(
    shop: Shop, vault: Vault
) -> None:
    shop.run("vault:link v shop")
    with waiting(shop, "vault:rotate v"):
        shop.run("vault:unlink v shop --no-restart")
    assert vault.url("shop") is None


def test_what_is_ours_is_what_is_there_in_the_turn_of_an_unlink(shop: Shop, vault: Vault) -> None:
    shop.run("vault:link v shop")
    with waiting(shop, "vault:unlink v shop"):
        shop.run(f"config:set shop {URL}={ELSEWHERE} --no-restart")
    assert vault.parts.store.links.of_service(vault.row.id) == []
    assert vault.url("shop") == ELSEWHERE


def test_a_push_links_its_add_ons_while_a_link_waits_for_its_end(shop: Shop, vault: Vault) -> None:
    parts = vault.parts
    shop.run("vault:create addon")
    addon, app = parts.store.services.get("vault", "addon"), parts.store.apps.get("shop")
    with waiting(shop, "vault:link v shop"), at_most(60):
        parts.service_links.link(
            addon, app, LinkWish("addon"), actor="test", report=Silent(), restart=False
        )
    assert vault.given("shop") == vault.current_url
    shop.run("vault:unlink addon shop --no-restart")
    shop.run("vault:destroy addon --force")


def test_one_that_was_linked_while_it_was_ended_is_ended_all_the_same(shop: Shop) -> None:
    parts = shop.world.parts
    shop.run("vault:create stuck")
    service, app = parts.store.services.get("vault", "stuck"), parts.store.apps.get("shop")
    parts.store.services.set_state(service.id, ServiceState.DESTROYING)
    parts.store.links.add(Link(app.id, URL, service.id))
    shop.tidied()
    assert parts.store.services.by_id(service.id) is None
    assert parts.store.links.of_app(app.id) == []


def test_a_step_of_tidying_that_breaks_keeps_none_of_the_others_from_its_turn(
    shop: Shop, capfd: pytest.CaptureFixture[str]
) -> None:
    parts = shop.world.parts
    service = parts.store.services.get("kv", "db")
    database = parts.store._db
    database.execute("UPDATE services SET state = 'unheard' WHERE id = ?", (service.id,))
    resolver = parts.engine.network.resolver
    pid = resolver.running()
    assert pid is not None
    try:
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: resolver.running() is None)
        shop.tidied()
        assert resolver.running() is not None
    finally:
        database.execute("UPDATE services SET state = 'running' WHERE id = ?", (service.id,))
    told = capfd.readouterr().err
    assert "Traceback" in told
    assert "'unheard' is not a valid ServiceState" in told


# -- one that goes on --------------------------------------------------------------------------


def test_an_upgrade_in_place_that_is_killed_goes_on(shop: Shop, vault: Vault) -> None:
    """By what it ran before or by what it is to run: as a whole, and its server is there."""
    there, back = (partial(shop.run, f"vault:upgrade v --version {n}") for n in ("1.1", "1"))

    def content() -> tuple[str, str]:
        return vault.row.version, vault.row.image

    effects = counted_effects(there)
    newer = content()
    back()
    older = content()
    assert newer[0] == "1.1" != older[0]
    outcomes = set()
    for effect in moments(effects, MOST):
        dies_before(effect, there)
        assert vault.row.state is ServiceState.RUNNING, effect
        vault.settled()
        assert vault.parts.services.is_up(vault.row), effect
        runs = vault.parts.engine.containers.get(vault.row.container or "").image
        assert runs == vault.row.image, effect
        assert content() in {older, newer}, effect
        outcomes.add(content())
        back()
        assert content() == older
    assert older in outcomes


def test_an_expose_by_a_server_that_speaks_tls_goes_on_when_it_is_killed(
    shop: Shop, vault: Vault
) -> None:
    expose = partial(shop.run, "vault:expose v --allow 127.0.0.0/8")
    runner = vault.parts.services.runner

    def closed() -> None:
        shop.run("vault:unexpose v")
        # Its next start is without TLS again.
        shop.run("vault:restart v")

    effects = counted_effects(expose)
    closed()
    outcomes = set()
    for effect in moments(effects - effects // 8, MOST):
        dies_before(effect, expose)
        assert vault.row.state is ServiceState.RUNNING, effect
        vault.settled()
        assert vault.parts.services.is_up(vault.row), effect
        exposed = vault.parts.service_exposures.of(vault.row) is not None
        # No port leads to a server that would take what is not encrypted.
        assert not exposed or runner.certificate_of(vault.row.container or ""), effect
        outcomes.add(exposed)
        if exposed:
            closed()
        elif runner.certificate_of(vault.row.container or ""):
            shop.run("vault:restart v")
    assert False in outcomes


def test_a_server_that_does_not_start_with_tls_serves_on_without(shop: Shop, vault: Vault) -> None:
    volume = shop.world.layout.engine_fs / "volumes" / vault.row.volume
    (volume / "no-tls").touch()
    assert "ended with exit code 3" in shop.refused("vault:expose v --allow 127.0.0.0/8")
    assert vault.row.state is ServiceState.RUNNING
    assert vault.parts.services.is_up(vault.row)
    assert vault.parts.service_exposures.of(vault.row) is None


def test_a_server_that_spoke_tls_is_exposed_without(shop: Shop, vault: Vault) -> None:
    shop.run("vault:expose v --allow 127.0.0.0/8")
    assert vault.spoken() == "tls"
    assert "v is exposed" in shop.answer("vault:expose v --allow 127.0.0.0/8 --no-tls")[1]
    assert vault.spoken() == "plain"
    began = vault.row.container
    shop.run("vault:expose v --allow 127.0.0.1 --no-tls")
    assert vault.row.container == began
    # Also when it was exposed to nobody in between.
    shop.run("vault:expose v --allow 127.0.0.0/8")
    shop.run("vault:unexpose v")
    shop.run("vault:expose v --allow 127.0.0.0/8 --no-tls")
    assert vault.spoken() == "plain"


def test_an_expose_without_tls_goes_on_when_it_is_killed(shop: Shop, vault: Vault) -> None:
    there = partial(shop.run, "vault:expose v --allow 127.0.0.0/8 --no-tls")
    back = partial(shop.run, "vault:expose v --allow 127.0.0.0/8")
    back()
    effects = counted_effects(there)
    back()
    for effect in moments(effects - effects // 8, MOST):
        dies_before(effect, there)
        assert vault.row.state is ServiceState.RUNNING, effect
        vault.settled()
        assert vault.parts.services.is_up(vault.row), effect
        there()
        assert vault.spoken() == "plain", effect
        back()
        assert vault.spoken() == "tls", effect


def test_a_server_that_does_not_start_without_tls_serves_on_with_it(
    shop: Shop, vault: Vault
) -> None:
    shop.run("vault:expose v --allow 127.0.0.0/8")
    before = vault.parts.service_exposures.of(vault.row)
    (shop.world.layout.engine_fs / "volumes" / vault.row.volume / "no-plain").touch()
    assert "ended with exit code 3" in shop.refused("vault:expose v --allow 127.0.0.1 --no-tls")
    assert vault.parts.service_exposures.of(vault.row) == before
    assert vault.row.state is ServiceState.RUNNING
    assert vault.spoken() == "tls"


@pytest.mark.parametrize(("before", "wanted"), [("", " --no-tls"), (" --no-tls", "")])
def test_a_port_that_is_taken_meanwhile_leaves_the_server_as_it_was(
    shop: Shop, vault: Vault, before: str, wanted: str
) -> None:
    shop.run(f"vault:expose v --allow 127.0.0.0/8{before}")
    spoken, exposure = vault.spoken(), vault.parts.service_exposures.of(vault.row)
    began, port = vault.row.container, free_port()

    def take() -> socket.socket:
        # It is restarted: the port has been looked at, and the proxy has not been told of it.
        eventually(lambda: vault.row.container != began)
        return socket.create_server(("0.0.0.0", port))

    with ThreadPoolExecutor(1) as pool:
        taking = pool.submit(take)
        said = shop.refused(f"vault:expose v {port} --allow 127.0.0.0/8{wanted}")
        taking.result().close()
    assert "The proxy does not listen there" in said
    assert vault.parts.service_exposures.of(vault.row) == exposure
    assert vault.spoken() == spoken


# -- ports -------------------------------------------------------------------------------------


@contextmanager
def led(shop: Shop, app: str, port: int) -> Iterator[Callable[[], None]]:
    """What leads a port to an app, which is taken back behind the block."""
    parts = shop.world.parts
    row = parts.store.apps.get(app)
    ports = [Port(Scheme.HTTP, port, 5000)]
    try:
        yield partial(parts.edge.add_ports, row, ports, actor="test", report=Silent())
    finally:
        parts.edge.set_ports(row, (), actor="test", report=Silent())


def meanwhile(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """Do it once behind the next restart of a server that is to speak TLS."""
    speak, left = ServiceExposures._speak, [do]

    def speaking(self: ServiceExposures, *args: Any) -> None:
        speak(self, *args)
        if left:
            left.pop()()

    monkeypatch.setattr(ServiceExposures, "_speak", speaking)


def test_a_port_that_an_app_is_given_meanwhile_stays_the_apps(
    shop: Shop, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    with led(shop, "shop", port) as lead:
        meanwhile(monkeypatch, lead)
        said = shop.refused(f"vault:expose v {port} --allow 127.0.0.0/8")
        assert f"Port {port} leads to shop" in said
        shop.tidied()
        with urlopen(f"http://127.0.0.1:{port}/") as answer:
            assert answer.read().strip() == b"1"
    # On failure nothing is changed.
    assert vault.parts.service_exposures.of(vault.row) is None
    assert vault.parts.services.is_up(vault.row)
    assert vault.parts.services.runner.certificate_of(vault.row.container or "") == ""


def test_a_free_port_is_chosen_again_when_it_is_not_free_any_more(
    shop: Shop, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, wanted = shop.world.parts, Wanted(allow=("127.0.0.0/8",))
    shop.run("vault:create second")
    second = parts.store.services.get("vault", "second")
    try:
        meanwhile(
            monkeypatch,
            lambda: parts.service_exposures.expose(second, wanted, actor="test", report=Silent()),
        )
        shop.run("vault:expose v --allow 127.0.0.0/8")
        ports = {one.port for one in parts.store.exposures.list()}
        assert len(ports) == 2
        assert vault.spoken() == "tls"
    finally:
        shop.run("vault:destroy second --force")


def test_a_port_that_a_service_is_given_meanwhile_is_not_given_back_to_an_app(
    shop: Shop, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, parts = free_port(), free_port(), shop.world.parts
    row, follow = parts.store.apps.get("shop"), Edge._follow
    with led(shop, "shop", old) as lead:
        lead()

        def fail(*_: object) -> None:
            monkeypatch.setattr(Edge, "_follow", follow)
            shop.run(f"vault:expose v {old} --allow 127.0.0.0/8")
            raise PortUnusable("It is one that nginx refuses")

        monkeypatch.setattr(Edge, "_follow", fail)
        with pytest.raises(PortUnusable, match="that nginx refuses"):
            parts.edge.set_ports(row, [Port(Scheme.HTTP, new, 5000)], actor="test", report=Silent())
        assert parts.store.ports.list(row.id) == []
        assert vault.spoken() == "tls"


def test_a_service_that_lost_its_port_meanwhile_is_not_led_to_there_again(
    shop: Shop, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, publish = free_port(), free_port(), ServiceExposures._publish
    shop.run(f"vault:expose v {old} --allow 127.0.0.0/8")
    with led(shop, "shop", old) as lead:

        def fail(*_: object) -> None:
            monkeypatch.setattr(ServiceExposures, "_publish", publish)
            lead()
            raise PortUnusable("It is one that nginx refuses")

        monkeypatch.setattr(ServiceExposures, "_publish", fail)
        assert "that nginx refuses" in shop.refused(f"vault:expose v {new} --allow 127.0.0.0/8")
        assert vault.parts.service_exposures.of(vault.row) is None
        with urlopen(f"http://127.0.0.1:{old}/") as answer:
            assert answer.read().strip() == b"1"


# -- plugins -----------------------------------------------------------------------------------


def test_a_plugin_that_cannot_be_read_keeps_no_other_name_from_being_published(
    shop: Shop, vault: Vault
) -> None:
    parts = shop.world.parts
    plugin = parts.store.plugins.get("kv")
    folder = folder_of(shop.world.layout, "kv", plugin.latest)
    names = parts.engine.network.resolver.hosts / NAMES
    # As after a reboot: what names there are is not known yet.
    names.unlink()
    away = folder.rename(folder.with_name("away"))
    try:
        shop.tidied()
        assert "vault-v" in names.read_text()
        assert "kv-db" in names.read_text()
    finally:
        away.rename(folder)


def test_an_update_without_the_service_of_which_there_are_some_is_refused(
    shop: Shop, vault: Vault
) -> None:
    declared = shop.world.folder / "vault/plugin.toml"
    text, before = declared.read_text(), shop.world.parts.store.plugins.get("vault")
    declared.write_text(WITHOUT_SERVICE)
    try:
        said = shop.refused("plugin:update vault")
        assert "There are services of vault: v" in said
        assert shop.world.parts.store.plugins.get("vault") == before
        shop.run("vault:restart v")
    finally:
        declared.write_text(text)
