"""The commands of plugins: what is installed, what it may touch, and whether it is used."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import click

from paas.buildpack.source import parse_git
from paas.cli.access import Access
from paas.cli.command import Command
from paas.cli.options import format_option, one_word, words
from paas.cli.output import columns, moment
from paas.cli.parsing import Misused
from paas.cli.session import Session
from paas.deploy.plugin_files import Source, bundled_names
from paas.deploy.plugin_log import tail
from paas.deploy.plugins import Known
from paas.errors import PaasError
from paas.host.terminal import is_terminal
from paas.model.env import Secret, parse_value
from paas.model.harmless import harmless
from paas.model.names import shown
from paas.model.plugin import BUNDLED, InstalledPlugin
from paas.plugin.hookspecs import HOOKS
from paas.plugin.skeleton import skeleton

MAX_VALUE = 1024 * 1024


class NotThere(PaasError):
    """The directory for a skeleton is in the way, or cannot be made."""


def install(session: Session, source: str, committish: str | None) -> None:
    """Fetch a plugin, and show what it would touch; it is not enabled."""
    found = _source(session, source, committish)
    ours = {each.name for each in session.store.plugins.list()}
    nouns = set(session.table.nouns()) - ours
    known = session.platform.plugins.install(
        found, nouns, actor=session.actor, report=session.report
    )
    session.report.step(f"Installed {_title(known)}")
    _show_grants(session, known)
    session.report.detail(f"Enable it: paas plugin:enable {known.row.name}")


def update(session: Session, name: str, committish: str | None) -> None:
    """Fetch the newest version of a plugin, and use it unless it wants more than it has."""
    row = session.store.plugins.get(name)
    ref = committish or row.ref or None
    known = session.platform.plugins.update(
        name, ref, _again(row, ref), actor=session.actor, report=session.report
    )
    if known.row.latest == row.latest:
        session.report.step(f"{name} is up to date: {row.latest[:8]}")
    else:
        session.report.step(f"Fetched {_title(known)}")
    if known.row.waits:
        session.report.warn(f"It wants more, so {known.row.active[:8]} is used until you allow:")
        for line in known.new:
            session.report.warn(f"  it {line}")
        session.report.warn(f"Allow it: paas plugin:enable {name}")


def enable(session: Session, name: str) -> None:
    """Use a plugin, with all that is shown."""
    if session.store.plugins.find(name) is None and name in bundled_names():
        session.platform.plugins.install(
            Source(bundled=name), (), actor=session.actor, report=session.report
        )
    _show_grants(session, session.platform.plugins.get(name))
    known = session.platform.plugins.enable(name, actor=session.actor, report=session.report)
    session.report.step(f"Enabled {_title(known)}")
    missing = [key for key, _ in known.declaration.settings]
    if missing and not session.store.plugins.settings(name):
        session.report.detail(f"It can be given: paas plugin:set {name} {missing[0]}=VALUE")


def disable(session: Session, name: str) -> None:
    """No longer use a plugin; it stays installed."""
    session.platform.plugins.disable(name, actor=session.actor, report=session.report)
    session.report.step(f"Disabled {name}")


def uninstall(session: Session, name: str) -> None:
    """Remove a plugin, after its name was typed."""
    session.store.plugins.get(name)
    session.confirm(name, f"This command will remove the plugin {name} and what was set for it.")
    session.platform.plugins.uninstall(name, actor=session.actor, report=session.report)
    session.report.step(f"Uninstalled {name}")


def show(session: Session, form: str) -> None:
    """List the plugins that are installed, and those that could be enabled at once."""
    known = session.platform.plugins.all()
    bundled = session.platform.plugins.bundled()
    if form == "json":
        entries = [_entry(each) for each in known]
        session.output.json([*entries, *({"name": each, "state": BUNDLED} for each in bundled)])
        return
    session.report.result("Plugins")
    rows = [
        (each.row.name, _version(each), _state(each), each.declaration.description)
        for each in known
    ]
    rows += [(each, "", BUNDLED, "comes with paas: plugin:enable") for each in bundled]
    for line in columns(rows) if rows else ["(none)"]:
        session.output.line(f"       {harmless(line)}")


def info(session: Session, name: str, form: str) -> None:
    """Show what a plugin is, may touch, and how its last run failed."""
    known = session.platform.plugins.get(name)
    row = known.row
    if form == "json":
        session.output.json(_entry(known))
        return
    session.report.result(f"{_title(known)}: {known.declaration.description}")
    facts = [
        ("state", _state(known)),
        ("source", row.source + (f"#{row.ref}" if row.ref else "")),
        ("commit", row.latest),
        ("in use", row.active or "-"),
        ("installed", f"{moment(row.installed_at)} by {row.actor}"),
    ]
    if row.error:
        facts.append(("last failure", f"{moment(row.error_at)}: {row.error}"))
    for line in columns([(f"       {label}:", value) for label, value in facts]):
        session.output.line(harmless(line))
    _show_grants(session, known)
    given = session.store.plugins.settings(name)
    for key, text in known.declaration.settings:
        state = "set" if key in given else "not set"
        session.report.detail(f"setting {key} ({state}): {text}")


def configure(session: Session, name: str, pairs: tuple[str, ...]) -> None:
    """Set values for the programs of a plugin; `KEY=-` reads one, `KEY=` unsets."""
    values: dict[str, Secret | None] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise Misused(f"{shown(pair)} is not KEY=VALUE")
        if value == "-":
            value = session.read_input(MAX_VALUE).decode("utf-8", "replace").rstrip("\n")
        values[key] = Secret(parse_value(key, value)) if value else None
    session.platform.plugins.configure(name, values, actor=session.actor)
    session.report.step(f"Set {', '.join(values)} of {name}")


def logs(session: Session, name: str, num: int) -> None:
    """Print what a plugin said when it was told of events."""
    session.store.plugins.get(name)
    for line in tail(session.layout, name, num):
        session.output.line(line)


def hooks(session: Session, form: str) -> None:
    """Print every hook: when it is called, and what it is told."""
    if form == "json":
        session.output.json(
            [
                {"name": one.name, "asked": one.asked, "events": one.events, "text": one.text}
                for one in HOOKS.values()
            ]
        )
        return
    for hook in HOOKS.values():
        what = "may refuse" if hook.asked else f"told of: {', '.join(hook.events)}"
        session.output.line(f"{hook.name} ({what})")
        for line in hook.text.splitlines():
            session.output.line(f"    {line}".rstrip())


def new(session: Session, name: str, directory: str | None) -> None:
    """Write a skeleton: into a directory of the server, else as a tar archive."""
    files = skeleton(name)
    if directory is not None:
        if session.caller.kind != "root":
            raise Misused("Only root on the server names a directory: leave it out for a tar")
        folder = session.request.cwd / directory
        _lay(files, folder)
        session.report.step(f"Wrote {folder}. Install it: paas plugin:install {folder}")
        return
    if is_terminal(session.request.stdout):
        raise Misused(f"It is a tar archive: paas plugin:new {name} | tar x")
    session.output.data(_archive(name, files))


def _lay(files: dict[str, str], folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise NotThere(f"{folder} cannot be made: {error.strerror}") from None
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(exist_ok=True)
        target.write_text(text)
        target.chmod(_mode(path))


def _archive(name: str, files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, text in files.items():
            entry = tarfile.TarInfo(f"{name}/{path}")
            entry.size, entry.mode = len(text.encode()), _mode(path)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def _mode(path: str) -> int:
    return 0o755 if path.startswith("bin/") else 0o644


def _source(session: Session, text: str, committish: str | None) -> Source:
    if text in bundled_names():
        return Source(bundled=text)
    folder = session.request.cwd / text
    if session.caller.kind == "root" and folder.is_dir():
        if committish is not None:
            raise Misused("A folder is taken as it is: --committish is for a git URL")
        return Source(folder=folder.resolve())
    return Source(git=parse_git(f"{text}#{committish}" if committish else text))


def _again(row: InstalledPlugin, ref: str | None) -> Source:
    """Where an installed plugin came from."""
    if row.source.startswith(f"{BUNDLED}:"):
        return Source(bundled=row.name)
    if row.source.startswith("/"):
        return Source(folder=Path(row.source))
    return Source(git=parse_git(f"{row.source}#{ref}" if ref else row.source))


def _show_grants(session: Session, known: Known) -> None:
    session.report.detail(f"{known.row.name}, once enabled:")
    for line in known.wants:
        mark = "" if line in known.row.granted or not known.row.enabled else " (new)"
        session.report.detail(f"  {line}{mark}")


def _title(known: Known) -> str:
    return f"{known.declaration.title} {_version(known)}"


def _version(known: Known) -> str:
    return f"{known.declaration.version} ({known.row.latest[:8]})"


def _state(known: Known) -> str:
    if known.row.waits:
        return "enabled, update waits"
    return "enabled" if known.row.enabled else "disabled"


def _entry(known: Known) -> dict[str, object]:
    row = known.row
    return {
        "name": row.name,
        "title": known.declaration.title,
        "description": known.declaration.description,
        "version": known.declaration.version,
        "state": _state(known),
        "source": row.source,
        "ref": row.ref or None,
        "commit": row.latest,
        "active": row.active or None,
        "wants": list(known.wants),
        "granted": list(row.granted),
        "error": row.error or None,
    }


def _committish() -> click.Option:
    return click.Option(
        ["--committish"], metavar="REF", help="A branch, a tag or a whole commit id."
    )


COMMANDS = (
    Command(
        "plugin:install",
        "Fetch a plugin, pinned to a commit, and show what it may touch",
        Access.ADMIN,
        install,
        arguments=(one_word("source", "URL"),),
        options=(_committish(),),
        description="URL is that of a git repository; for root also a folder of the server. "
        "Nothing of it runs before plugin:enable.",
    ),
    Command(
        "plugin:update",
        "Fetch the newest version of a plugin",
        Access.ADMIN,
        update,
        arguments=(one_word("name", "PLUGIN"),),
        options=(_committish(),),
        description="It is used at once, unless it wants more than it was granted: then the "
        "version before it stays until plugin:enable.",
    ),
    Command(
        "plugin:enable",
        "Use a plugin, with what it may touch",
        Access.ADMIN,
        enable,
        arguments=(one_word("name", "PLUGIN"),),
    ),
    Command(
        "plugin:disable",
        "No longer use a plugin",
        Access.ADMIN,
        disable,
        arguments=(one_word("name", "PLUGIN"),),
    ),
    Command(
        "plugin:uninstall",
        "Remove a plugin and what was set for it",
        Access.ADMIN,
        uninstall,
        arguments=(one_word("name", "PLUGIN"),),
    ),
    Command(
        "plugin:list",
        "List the plugins, and whether they are enabled",
        Access.ADMIN,
        show,
        options=(format_option(),),
    ),
    Command(
        "plugin:info",
        "Show what a plugin is and may touch, and how it failed last",
        Access.ADMIN,
        info,
        arguments=(one_word("name", "PLUGIN"),),
        options=(format_option(),),
    ),
    Command(
        "plugin:set",
        "Set values for the programs of a plugin",
        Access.ADMIN,
        configure,
        arguments=(one_word("name", "PLUGIN"), words("pairs", "KEY=VALUE")),
        description="KEY=- reads the value from standard input, KEY= unsets it.",
    ),
    Command(
        "plugin:logs",
        "Show what a plugin said when it was told of events",
        Access.ADMIN,
        logs,
        arguments=(one_word("name", "PLUGIN"),),
        options=(
            click.Option(
                ["-n", "--num"],
                type=click.IntRange(0, 100_000),
                default=100,
                metavar="COUNT",
                help="How many lines, 100 unless given.",
            ),
        ),
    ),
    Command(
        "plugin:hooks",
        "Print every hook that a plugin may have",
        Access.VIEW,
        hooks,
        options=(format_option(),),
    ),
    Command(
        "plugin:new",
        "Write the skeleton of a plugin",
        Access.ADMIN,
        new,
        arguments=(one_word("name", "PLUGIN"), one_word("directory", "DIRECTORY", required=False)),
        description="As a tar archive, or for root on the server into DIRECTORY.",
    ),
)
