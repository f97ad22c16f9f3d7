"""`plugin.toml` of a service plugin: everything the one service engine has to know.

    [plugin]       name, title, description
    [service]      what runs: port, data, versions, memory, stop-signal, …
    [link]         what linked apps get: variable, prefix, scheme, url, addons
    [image]        one that is named instead of ours: needs (programs it has to have), keeps
                   (files, of which `data` has one once it answers), command, in-place
    [expose]       clients from outside: tls (who ends it: proxy, server), scheme, query
    [credentials]  user, database: texts; a password is always generated
    [environment]  variables of the container, and of every command in it
    [commands]     argv of each command, run in the container
    [[extra]]      further commands of this plugin alone: name, summary, run, columns

Texts may hold `{name}`, `{user}`, `{password}`, `{database}`, `{host}`, `{port}`, `{scheme}`,
`{memory_mb}` and `{version}`; nothing in them is given to a shell.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from paas.errors import PaasError
from paas.model.exposure import Tls
from paas.model.limits import MIB
from paas.plugin.fields import Fields

NAME = re.compile(r"[a-z][a-z0-9]{0,19}")
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
KNOWN = frozenset(
    {"name", "user", "password", "database", "host", "port", "scheme", "memory_mb", "version"}
)
NAME_ALONE = frozenset({"name"})
"""All that is known of a service before it has credentials."""

COMMANDS = frozenset(
    {"ready", "alive", "connect", "enter", "export", "import", "dump", "load", "place", "count"}
    | {"names", "grant", "revoke"}
)
"""ready     ends with 0 when the server answers
alive     ends with 0 unless the server hangs; asked on while it runs, `ready` unless given
connect   the native client, on a terminal or on pipes
enter     a shell
export    writes the native dump of the database to its standard output
import    reads one; what is no such dump changes nothing
dump      writes all there is, for backup, clone and upgrade; a snapshot
load      reads that into a server made for it, and fails unless it is whole
place     the same without a server: it lays the files that the server will find
count     lines that are equal when two servers hold the same
names     the databases that a load brought, a line each: for those whose URL names one
grant     lets in whom the environment names, by that password
revoke    no longer lets them in, and ends their connections
"""


OTHER_TABLES = ("run", "permissions", "setting", "hook", "command", "proxy", "builder")
"""What of a plugin.toml is not about its service, but `paas.plugin.declaration`'s."""


class InvalidManifest(PaasError):
    """A plugin.toml that is none; the message names the file and the field."""


@dataclass(frozen=True)
class Extra:
    """A command that only this plugin has; what is typed behind the name is added to `run`.

    One with `columns` answers with a list: each line has a value for each of them, parted by
    tabs.
    """

    name: str
    summary: str
    run: tuple[str, ...]
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class LinkRule:
    """How a linked app is told. `variable` is the first link's, `prefix` of further ones."""

    variable: str
    prefix: str
    scheme: str
    url: str
    addons: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExposeRule:
    """Who speaks TLS to clients from outside, and the scheme and query of their URL then."""

    tls: Tls = Tls.PROXY
    scheme: str = ""
    query: str = ""


@dataclass(frozen=True)
class ImageRule:
    """What an image must have that is named instead of the plugin's own, and the words behind
    its entry point that make its server ours; without them the image says what runs. By one of
    `keeps`, paths below the service's data, a server shows that it keeps what it has there. With
    `in_place` images of every maker keep their data in one place, and a dump is not all of it.
    """

    needs: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    in_place: bool = False
    keeps: tuple[str, ...] = ()


@dataclass(frozen=True)
class ServiceManifest:
    """One datastore. `memory` is in bytes, `stop_timeout` in seconds.

    `versions` are those its own Dockerfile makes, the default first. `version_file` says
    which version wrote the data, `version_parts` how many numbers of it are its major one.
    """

    name: str
    title: str
    description: str
    port: int
    data: str
    versions: tuple[str, ...]
    link: LinkRule
    expose: ExposeRule = field(default_factory=ExposeRule)
    image: ImageRule = field(default_factory=ImageRule)
    memory: int = 512 * MIB
    command: tuple[str, ...] = ()
    stop_signal: str = "SIGTERM"
    stop_timeout: float = 30.0
    version_file: str = ""
    version_parts: int = 1
    credentials: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    extra: tuple[Extra, ...] = ()
    new_user: bool = False
    """Whether a rotation makes another user; otherwise the one user gets a second password."""

    def major(self, version: str) -> str:
        """`17` of `17.5`; what may differ without a dump is behind it."""
        return ".".join(re.findall(r"[0-9]+", version)[: self.version_parts])

    def keeps_data(self) -> bool:
        """Whether there is anything to export, copy and upgrade."""
        return "dump" in self.commands


def parse_manifest(text: str, path: str) -> ServiceManifest:
    """Read a plugin.toml; `path` is its name for messages. Raises `InvalidManifest`."""
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _invalid(f"{path}: not valid TOML: {error}") from None
    try:
        return _manifest(Fields(document, path))
    except ValueError as error:
        raise _invalid(str(error)) from None


def _invalid(brief: str) -> InvalidManifest:
    return InvalidManifest(brief, resolution="Correct the file; plugins/README.md describes it.")


def _manifest(top: Fields) -> ServiceManifest:
    plugin, service = top.table("plugin"), top.table("service")
    credentials, environment = top.table("credentials"), top.table("environment")
    rotation, commands = top.table("rotation"), top.table("commands")
    manifest = ServiceManifest(
        name=plugin.text("name", pattern=NAME),
        title=plugin.text("title"),
        description=plugin.text("description"),
        port=service.number("port", 1, 65535),
        data=service.text("data", default="", pattern=re.compile(r"(/[\w.-]+)*")),
        versions=service.words("versions"),
        memory=service.memory("memory", default=512 * MIB),
        command=_command(service),
        stop_signal=service.text("stop-signal", default="SIGTERM"),
        stop_timeout=float(service.number("stop-seconds", 0, 3600, default=30)),
        version_file=service.text("version-file", default=""),
        version_parts=service.number("version-parts", 1, 4, default=1),
        link=_link(top.table("link")),
        expose=_expose(top.table("expose")),
        image=_image(top.table("image")),
        credentials={
            key: _template(credentials, key, NAME_ALONE) for key in credentials.keys_of(r"\w+")
        },
        environment={key: _template(environment, key) for key in environment.keys_of(r"\w+")},
        commands={key: commands.words(key) for key in commands.keys_of(r"[a-z]+")},
        extra=tuple(map(_extra, top.tables("extra"))),
        new_user=rotation.flag("new-user", default=False),
    )
    unknown = sorted(set(manifest.commands) - COMMANDS)
    if unknown:
        raise commands.error(unknown[0], f"is no command; there are {', '.join(sorted(COMMANDS))}")
    if "ready" not in manifest.commands:
        raise commands.error("ready", "is missing")
    top.skip(*OTHER_TABLES)
    plugin.skip("version")
    for each in (top, plugin, service, rotation):
        each.finish()
    return manifest


def _link(table: Fields) -> LinkRule:
    variable = re.compile(r"[A-Z][A-Z0-9_]*")
    rule = LinkRule(
        variable=table.text("variable", pattern=variable),
        prefix=table.text("prefix", pattern=variable),
        scheme=table.text("scheme", pattern=re.compile(r"[a-z][a-z0-9+.-]*")),
        url=_template(table, "url"),
        addons=table.words("addons", default=()),
    )
    table.finish()
    return rule


def _image(table: Fields) -> ImageRule:
    program = re.compile(r"[\w.+-]+")
    rule = ImageRule(
        table.words("needs", default=(), pattern=program),
        _command(table),
        table.flag("in-place", default=False),
        table.words("keeps", default=(), pattern=re.compile(r"[\w.-]+(/[\w.-]+)*")),
    )
    table.finish()
    return rule


def _command(table: Fields) -> tuple[str, ...]:
    words = table.words("command", default=())
    for word in words:
        _check_placeholders(table, "command", word, KNOWN)
    return words


def _expose(table: Fields) -> ExposeRule:
    rule = ExposeRule(
        Tls(table.text("tls", default="proxy", pattern=re.compile("proxy|server"))),
        table.text("scheme", default="", pattern=re.compile(r"([a-z][a-z0-9+.-]*)?")),
        table.text("query", default="", pattern=re.compile(r"[\w=&.-]*")),
    )
    table.finish()
    return rule


def _extra(table: Fields) -> Extra:
    extra = Extra(
        table.text("name", pattern=re.compile(r"[a-z][a-z-]*")),
        table.text("summary"),
        table.words("run"),
        table.words("columns", default=(), pattern=re.compile(r"[a-z][a-z_]*")),
    )
    table.finish()
    return extra


def _template(table: Fields, key: str, known: frozenset[str] = KNOWN) -> str:
    text = table.text(key)
    _check_placeholders(table, key, text, known)
    return text


def _check_placeholders(table: Fields, key: str, text: str, known: frozenset[str]) -> None:
    for found in PLACEHOLDER.findall(text):
        if found not in known:
            there = ", ".join(sorted(known))
            raise table.error(key, f"{{{found}}} is not known; there are {there}")


def rendered(template: str, values: Mapping[str, Any]) -> str:
    """`template` with its placeholders replaced; what replaces them is left as it is."""
    return PLACEHOLDER.sub(lambda match: str(values[match[1]]), template)
