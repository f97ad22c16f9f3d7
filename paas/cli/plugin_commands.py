"""The commands that enabled plugins add: `PLUGIN:NAME`, in help and completion like any."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import words as words_argument
from paas.cli.output import Output
from paas.cli.services import commands_of
from paas.cli.session import Session
from paas.model.app import App
from paas.model.layout import Layout
from paas.plugin.declaration import CommandRule, Declaration
from paas.plugin.foreign import Plugin
from paas.plugin.installed import Installed
from paas.store.store import Store

ROLES = {
    "viewer": Access.VIEW,
    "deployer": Access.DEPLOY,
    "owner": Access.OWN,
    "admin": Access.ADMIN,
    "root": Access.ROOT,
}
"""What each role of a plugin.toml is as an access. No command is without one."""

APPS = {"none": Names.NO_APP, "optional": Names.MAYBE_AN_APP, "required": Names.AN_APP}


def plugin_commands(layout: Layout, store: Store, nouns: Collection[str]) -> Iterator[Command]:
    """Those of every enabled plugin, but for one whose name became a noun of ours."""
    for plugin in Installed(layout, store.plugins).enabled(_has_commands):
        if plugin.name in nouns:
            continue
        if plugin.declaration.service is not None:
            yield from commands_of(plugin.declaration.service)
        for rule in plugin.declaration.commands:
            yield _command(plugin, rule)


def _has_commands(declaration: Declaration) -> bool:
    return bool(declaration.commands or declaration.service)


def _command(plugin: Plugin, rule: CommandRule) -> Command:
    return Command(
        f"{plugin.name}:{rule.name}",
        rule.summary.rstrip("."),
        _access(rule),
        _runs(plugin, rule),
        APPS[rule.app],
        arguments=(words_argument("words", "WORD", required=False),),
        passes_through=True,
        description=f"A command of the plugin {plugin.name}: {plugin.declaration.description}.",
    )


def _access(rule: CommandRule) -> Access:
    """Without an app there is no role in one: who may change any is an admin."""
    access = ROLES[rule.role]
    if rule.app == "required" or access in (Access.VIEW, Access.ROOT):
        return access
    return Access.ADMIN


def _runs(plugin: Plugin, rule: CommandRule) -> Callable[..., int]:
    def run(session: Session, words: tuple[str, ...], app: App | None = None) -> int:
        session.request.channel.end_with_client()
        stderr = Output(session.request.stderr, session.request.stderr)
        code = session.platform.plugin_commands.run(
            plugin,
            rule,
            app,
            words,
            actor=session.actor,
            output=session.output.foreign,
            errors=stderr.foreign,
        )
        session.output.foreign(b"")
        stderr.foreign(b"")
        return code

    return run
