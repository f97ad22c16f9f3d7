"""Who may run which command, for each command there is: nothing that is not granted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from paas.cli.access import Access
from paas.cli.command import Command, Names, Table
from paas.model.caller import Caller
from paas.model.env import Secret
from paas.model.role import Role
from tests.unit.cli.caller import KEY, ROOT, Paas, every_command

EVERY = list(every_command())
SECRET_APP = "unseen"
NEW = "new"


class Ran(Exception):
    """Instead of what the command does."""


def stubbed(command: Command) -> Command:
    def run(_: object, **__: Any) -> int:
        return 77

    return replace(command, run=run)


@pytest.fixture
def shop(paas: Paas) -> Paas:
    """An app of somebody else's, and one that bob has the role in that a test gives him."""
    paas.store.apps.create("shop")
    paas.store.apps.create(SECRET_APP)
    return paas


def words(command: Command, app: str) -> list[str]:
    """A line that parses."""
    given = [app] if command.app not in {Names.NO_APP, Names.MAYBE_AN_APP} else []
    if command.app is Names.MAYBE_AN_APP:
        given = ["--app", app]
    required = ["x" for argument in command.arguments if argument.required]
    if command.app is Names.AN_APP_LAST:
        return [command.name, *required, *given]
    return [command.name, *given, *required]


def runs(paas: Paas, command: Command, caller: Caller, app: str = "shop") -> bool:
    paas.table = Table([stubbed(command)])
    said = paas(*words(command, app), caller=caller)
    assert said.code in {1, 77}, said.err
    assert said.code == 77 or "You may not run" in said.err or "for root" in said.err, said.err
    return said.code == 77


def member(paas: Paas, role: Role | None) -> Caller:
    bob = paas.let_in("bob", admin=False)
    if role is not None:
        paas.store.users.give("bob", paas.store.apps.get("shop").id, role)
    return bob


MATRIX: dict[Role | None, set[Access]] = {
    None: {Access.PUBLIC},
    Role.VIEWER: {Access.PUBLIC, Access.VIEW},
    Role.DEPLOYER: {Access.PUBLIC, Access.VIEW, Access.DEPLOY},
    Role.OWNER: {Access.PUBLIC, Access.VIEW, Access.DEPLOY, Access.OWN},
}


@pytest.mark.parametrize("role", [None, *Role])
def test_each_command_is_denied_unless_the_role_grants_it(shop: Paas, role: Role | None) -> None:
    bob = member(shop, role)
    for command in EVERY:
        granted = command.access in MATRIX[role]
        if command.app is Names.NO_APP:
            # What a list shows of whom is `test_nothing_of_other_apps_is_shown`'s.
            granted = command.access in {Access.PUBLIC, Access.VIEW}
        assert runs(shop, command, bob) is granted, command.name


@pytest.mark.parametrize("role", [None, *Role])
def test_a_role_in_one_app_is_none_in_another(shop: Paas, role: Role | None) -> None:
    bob = member(shop, role)
    for command in EVERY:
        if command.app is not Names.NO_APP and command.access is not Access.PUBLIC:
            assert not runs(shop, command, bob, SECRET_APP), command.name


def test_an_admin_may_all_but_what_is_root_s(shop: Paas) -> None:
    for command in EVERY:
        assert runs(shop, command, KEY) is (command.access is not Access.ROOT), command.name
        assert runs(shop, command, ROOT), command.name


@pytest.mark.parametrize(
    "stranger",
    [Caller("key", "removed"), Caller("hook", "ann"), Caller("web", "x")],  # type: ignore[arg-type]
)
def test_whoever_nobody_knows_may_nothing(shop: Paas, stranger: Caller) -> None:
    for command in EVERY:
        assert not runs(shop, command, stranger), command.name


def test_what_concerns_every_app_is_an_admin_s(shop: Paas) -> None:
    bob = member(shop, Role.OWNER)
    for command in EVERY:
        if command.app is Names.APP_OR_GLOBAL:
            shop.table = Table([stubbed(command)])
            required = ["x" for argument in command.arguments if argument.required]
            line = [command.name, "--global", *required]
            assert shop(*line, caller=bob).code == 1, command.name
            assert shop(*line, caller=KEY).code == 77, command.name


def test_nothing_of_other_apps_is_shown(shop: Paas) -> None:
    """Commands that list without being asked about one app, with the real functions."""
    bob = member(shop, Role.VIEWER)
    for command in EVERY:
        without = command.app in {Names.NO_APP, Names.MAYBE_AN_APP}
        if without and command.access is Access.VIEW and not command.name.startswith("letsencrypt"):
            required = ["x" for argument in command.arguments if argument.required]
            said = shop(command.name, *required, caller=bob)
            assert SECRET_APP not in said.out + said.err, command.name
    assert shop("apps:list", "--quiet", caller=bob).lines == ["shop"]
    assert shop("complete", "config:get", "", caller=bob).lines == ["shop"]


def test_who_only_looks_is_told_no_secret(shop: Paas) -> None:
    """Every command that a viewer may run, with the real functions."""
    bob, app, value = member(shop, Role.VIEWER), shop.store.apps.get("shop"), "n0b0dy-s"
    shop.store.config.set(app.id, {"TOKEN": value})
    release = shop.store.releases.add(
        app.id, image="i", commit=None, config={"TOKEN": Secret(value)}, processes={},
        formation={"web": 1}, health={}, reason="Deploy", actor="ann",
    )  # fmt: skip
    shop.store.apps.set_live(app.id, release.number)
    assert shop("builder:set", "shop", "build-arg", f"KEY={value}").code == 0
    for command in EVERY:
        if command.access is Access.VIEW:
            said = shop(*words(command, "shop"), caller=bob)
            assert value.encode() not in said.stdout + said.err.encode(), command.name
    for name in ("config:show", "config:bundle"):
        assert value in shop(name, "shop", caller=KEY).out
        assert "You may not run" in shop(name, "shop", caller=bob).err


def test_who_makes_an_app_owns_it(shop: Paas) -> None:
    bob = member(shop, None)
    assert shop("apps:create", NEW, caller=bob).code == 0
    assert shop.store.users.role("bob", shop.store.apps.get(NEW).id) is Role.OWNER
    assert "You may not run" in shop("apps:create", SECRET_APP, caller=bob).err


# -- the commands of access ----------------------------------------------------------------------


def test_an_owner_lets_somebody_in_and_out_again(shop: Paas) -> None:
    bob, carol = member(shop, Role.OWNER), shop.let_in("carol", admin=False)
    assert shop("config:keys", "shop", caller=carol).code == 1
    assert shop("access:add", "shop", "carol", "viewer", caller=bob).code == 0
    assert shop("config:keys", "shop", caller=carol).code == 0
    assert shop("config:show", "shop", caller=carol).code == 1
    said = shop("access:list", "shop", "--quiet", caller=carol)
    assert [line.split() for line in said.lines] == [
        ["ann", "admin"], ["bob", "owner"], ["carol", "viewer"],
    ]  # fmt: skip
    assert shop("access:remove", "shop", "carol", caller=bob).code == 0
    assert shop("config:keys", "shop", caller=carol).code == 1
    assert [event.what for event in shop.store.events.tail(2, "shop")] == [
        "access:add", "access:remove",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("access:add", "shop", "nobody"), "User nobody does not exist"),
        (("access:add", "shop", "ann", "boss"), "not one of viewer, deployer, owner"),
        (("access:add", "--global", "ann", "owner"), "The only role for everything is admin"),
        (("access:remove", "shop", "ann"), "ann has no role in shop"),
        (("access:remove", "--global", "ann"), "ann is the only admin"),
        (("access:add", "nope", "ann"), "App nope does not exist"),
    ],
)
def test_a_mistake_is_one_sentence(shop: Paas, line: tuple[str, ...], said: str) -> None:
    failed = shop(*line, caller=KEY)
    assert failed.code in {1, 20}
    assert said in failed.err


def test_an_admin_is_made_and_unmade(shop: Paas) -> None:
    bob = member(shop, None)
    assert shop("access:add", "--global", "bob", caller=KEY).code == 0
    assert shop("config:keys", SECRET_APP, caller=bob).code == 0
    assert shop("access:remove", "--global", "ann", caller=bob).code == 0
    assert shop("config:keys", SECRET_APP, caller=KEY).code == 1


def test_several_keys_are_one_user(shop: Paas) -> None:
    body = "AAAAC3NzaC1lZDI1NTE5AAAAIBqXKhMDkLSuvRBGYSTOCEQHGsrM7jqBpMO4hmfEDW5L"
    shop.let_in("bob", admin=False)
    added = shop(
        "ssh-keys:add", "laptop", "--user", "bob", caller=KEY, input=f"ssh-ed25519 {body}".encode()
    )
    assert added.code == 0
    laptop = Caller("key", "laptop")
    assert shop("apps:create", NEW, caller=laptop).code == 0
    assert shop.store.users.role("bob", shop.store.apps.get(NEW).id) is Role.OWNER
    assert shop.store.events.tail(1, NEW)[0].actor == "bob"
    shop.table = every_command()
    said = shop("ssh-keys:list", caller=KEY)
    assert said.err == ""
    listed = said.lines
    assert [line.split()[1:] for line in listed] == [
        ['NAME="ann"'], ['NAME="bob"'], ['NAME="laptop"', 'USER="bob"'],
    ]  # fmt: skip
    assert shop("ssh-keys:remove", "laptop", caller=KEY).code == 0
    assert shop("apps:list", caller=laptop).code == 1
    assert shop("apps:list", caller=Caller("key", "bob")).code == 0
