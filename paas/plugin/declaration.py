"""`plugin.toml`: what a plugin is, and all that it may do. What is not in it, it may not.

    [plugin]       name, title, description, version
    [run]          what its programs run in: packages or image, memory
    [permissions]  network, source, config, set-config
    [[setting]]    what `plugin:set` gives its programs: name, help
    [[hook]]       on, run, veto, seconds (`paas.plugin.hookspecs` has them all)
    [[command]]    name, summary, role, app, run, seconds
    [[proxy]]      a setting of `proxy:set`: name, help, type, choices, directives
    [builder]      files, run, seconds: what writes the Dockerfile of apps that have these
    [service] …    a datastore: `paas.plugin.manifest`

Nothing in it is given to a shell, and nothing is a pattern that somebody could make slow.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass

from paas.model.limits import MIB
from paas.model.names import CONFIG_KEY
from paas.plugin.fields import Fields
from paas.plugin.hookspecs import HOOKS, Hook
from paas.plugin.manifest import InvalidManifest, ServiceManifest, parse_manifest
from paas.plugin.proxyrule import ProxyRule, proxy_rule

NAME = re.compile(r"(?=.{1,30}$)[a-z][a-z0-9]*(-[a-z0-9]+)*")
VERB = re.compile(r"(?=.{1,30}$)[a-z][a-z0-9]*(-[a-z0-9]+)*")
SERVICE_VERBS = frozenset({
    "create", "destroy", "list", "exists", "info", "report", "set", "start", "stop", "restart",
    "pause", "connect", "enter", "logs", "export", "import", "link", "unlink", "links", "linked",
    "app-links", "promote", "expose", "unexpose", "certificate", "clone", "upgrade", "rotate",
    "prune", "restore", "backup", "backup:list", "backup:verify", "backup:adopt", "backup:schedule",
    "backup:unschedule", "backup:auth",
})  # fmt: skip
"""The commands that every datastore has, or could have: what `paas.cli.services` makes."""
VERSION = re.compile(r"[0-9A-Za-z.+-]{1,40}")
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{1,79}")
"""A Debian package's name (Debian Policy, section 5.6.1)."""
IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/:@-]{0,254}")
FILE = re.compile(r"[A-Za-z0-9_.-]{1,80}")
PROGRAM = re.compile(r"[^\0\n]{1,4096}")
GRANT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\*?|\*")
LINE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]{1,200}")
"""Text for people: one line that says what it seems to say."""

MAX_MANIFEST = 64 * 1024
MEMORY, MOST_MEMORY = 256 * MIB, 2048 * MIB
SECONDS, MOST_SECONDS = 30, 300
COMMAND_SECONDS, MOST_COMMAND_SECONDS = 60, 3600
STACK = "paas/stack:debian-13"

ROLES = ("viewer", "deployer", "owner", "admin", "root")
APPS = ("none", "optional", "required")


@dataclass(frozen=True)
class Program:
    """An argv of the plugin's, and the seconds it may take."""

    run: tuple[str, ...]
    seconds: int


@dataclass(frozen=True)
class HookRule:
    """One hook of a plugin. Only with `veto` can it refuse, or keep anything by failing."""

    hook: Hook
    program: Program
    veto: bool = False


@dataclass(frozen=True)
class CommandRule:
    """`PLUGIN:NAME`. `role` is what its caller needs, for the app if it is about one."""

    name: str
    summary: str
    role: str
    app: str
    program: Program


@dataclass(frozen=True)
class BuilderRule:
    """Builds the apps that have one of `files` at the top of their tree."""

    files: tuple[str, ...]
    program: Program


@dataclass(frozen=True)
class Permissions:
    """What programs of a plugin get to see and to change. Names may end in `*`."""

    network: bool = False
    source: bool = False
    config: tuple[str, ...] = ()
    set_config: tuple[str, ...] = ()

    def sees(self, key: str) -> bool:
        """Whether it is told the value of a config var."""
        return _matches(self.config, key)

    def sets(self, key: str) -> bool:
        """Whether it may give a release a config var of that name."""
        return _matches(self.set_config, key)


@dataclass(frozen=True)
class Declaration:
    """A whole plugin.toml. `memory` is in bytes; `image` is empty for the stack."""

    name: str
    title: str
    description: str
    version: str = ""
    python: bool = False
    """It is a Python module of this program, and has no programs of its own."""
    packages: tuple[str, ...] = ()
    image: str = ""
    memory: int = MEMORY
    permissions: Permissions = Permissions()
    settings: tuple[tuple[str, str], ...] = ()
    """Name and help."""
    hooks: tuple[HookRule, ...] = ()
    commands: tuple[CommandRule, ...] = ()
    proxy: tuple[ProxyRule, ...] = ()
    builder: BuilderRule | None = None
    service: ServiceManifest | None = None

    @property
    def has_programs(self) -> bool:
        """Whether anything of it runs in containers of its own."""
        rules = bool(self.hooks or self.commands or self.builder)
        return rules and not self.python

    def hook(self, name: str) -> HookRule | None:
        """Its rule for a hook."""
        return next((rule for rule in self.hooks if rule.hook.name == name), None)


def parse_declaration(text: str, path: str, *, bundled: bool = False) -> Declaration:
    """Read a plugin.toml; `path` is its name for messages.

    Raises `InvalidManifest`, which names the field. `bundled` ones may be Python.
    """
    if len(text) > MAX_MANIFEST:
        raise _invalid(f"{path}: is longer than {MAX_MANIFEST // 1024} KiB")
    try:
        top = Fields(tomllib.loads(text), path)
        service = parse_manifest(text, path) if top.has("service") else None
        return _declaration(top, service, bundled=bundled)
    except tomllib.TOMLDecodeError as error:
        raise _invalid(f"{path}: not valid TOML: {error}") from None
    except RecursionError:
        raise _invalid(f"{path}: not valid TOML: it is nested too deep") from None
    except ValueError as error:
        raise _invalid(str(error)) from None


def _invalid(brief: str) -> InvalidManifest:
    return InvalidManifest(brief, resolution="Correct the file; plugins/README.md describes it.")


def _declaration(top: Fields, service: ServiceManifest | None, *, bundled: bool) -> Declaration:
    plugin, run, permissions = top.table("plugin"), top.table("run"), top.table("permissions")
    name = plugin.text("name", pattern=NAME)
    python = plugin.flag("python", default=False) if bundled else False
    found = Declaration(
        name=name,
        title=plugin.text("title", pattern=LINE),
        description=plugin.text("description", pattern=LINE),
        version=plugin.text("version", default="0", pattern=VERSION),
        python=python,
        packages=run.words("packages", default=(), pattern=PACKAGE),
        image=run.text("image", default=STACK, pattern=IMAGE),
        memory=run.memory("memory", default=MEMORY),
        permissions=Permissions(
            network=permissions.flag("network", default=False),
            source=permissions.flag("source", default=False),
            config=permissions.words("config", default=(), pattern=GRANT),
            set_config=permissions.words("set-config", default=(), pattern=GRANT),
        ),
        settings=tuple(map(_setting, top.tables("setting"))),
        hooks=tuple(_hook(each, python=python) for each in top.tables("hook")),
        commands=tuple(map(_command, top.tables("command"))),
        proxy=tuple(proxy_rule(each, name) for each in top.tables("proxy")),
        builder=_builder(top.table("builder")) if top.has("builder") else None,
        service=service,
    )
    if found.memory > MOST_MEMORY:
        raise run.error("memory", f"cannot be more than {MOST_MEMORY // MIB}m")
    if found.packages and run.has("image"):
        raise run.error("packages", "are put on the stack: without an image of your own")
    _refuse_twice(top, "hook", [rule.hook.name for rule in found.hooks])
    _refuse_twice(top, "setting", [name for name, _ in found.settings])
    _refuse_twice(top, "proxy", [rule.name for rule in found.proxy])
    verbs = [each.name for each in service.extra] if service else []
    _refuse_twice(top, "command", [rule.name for rule in found.commands] + verbs)
    if service is not None:
        _refuse_verbs(top, [rule.name for rule in found.commands] + verbs)
    if service is not None:
        # What is not known of all its tables, `parse_manifest` has refused.
        top.skip_all()
    for each in (top, plugin, run, permissions):
        each.finish()
    if not (found.hooks or found.commands or found.proxy or found.builder or service):
        raise top.error("hook", "is missing, and so is everything else that a plugin can do")
    return found


def _refuse_twice(top: Fields, table: str, names: Sequence[str]) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            raise top.error(table, f"has {name} twice")


def _refuse_verbs(top: Fields, names: Sequence[str]) -> None:
    for name in names:
        if name in SERVICE_VERBS:
            raise top.error("command", f"cannot be {name!r}: every datastore has that one already")


def _setting(table: Fields) -> tuple[str, str]:
    found = table.text("name", pattern=CONFIG_KEY), table.text("help", pattern=LINE)
    if found[0].startswith("PAAS_") or found[0] in ("PATH", "HOME"):
        raise table.error("name", f"cannot be {found[0]!r}: it has a meaning already")
    table.finish()
    return found


def _hook(table: Fields, *, python: bool) -> HookRule:
    name = table.text("on")
    hook = HOOKS.get(name)
    if hook is None:
        raise table.error("on", f"cannot be {name!r}; there are {', '.join(HOOKS)}")
    veto = table.flag("veto", default=False)
    if veto and not hook.asked:
        raise table.error("veto", f"cannot be true: {name} is told of what has happened already")
    program = Program((), SECONDS) if python else _program(table, SECONDS, MOST_SECONDS)
    rule = HookRule(hook, program, veto)
    table.finish()
    return rule


def _command(table: Fields) -> CommandRule:
    rule = CommandRule(
        name=table.text("name", pattern=VERB),
        summary=table.text("summary", pattern=LINE),
        role=table.choice("role", ROLES),
        app=table.choice("app", APPS),
        program=_program(table, COMMAND_SECONDS, MOST_COMMAND_SECONDS),
    )
    table.finish()
    return rule


def _builder(table: Fields) -> BuilderRule:
    rule = BuilderRule(
        table.words("files", pattern=FILE), _program(table, COMMAND_SECONDS, MOST_COMMAND_SECONDS)
    )
    table.finish()
    return rule


def _program(table: Fields, usual: int, most: int) -> Program:
    return Program(
        table.words("run", pattern=PROGRAM),
        table.number("seconds", 1, most, default=usual),
    )


def _matches(patterns: Sequence[str], key: str) -> bool:
    return any(
        key.startswith(each[:-1]) if each.endswith("*") else key == each for each in patterns
    )
