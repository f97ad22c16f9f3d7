"""The commands of health checks: asking them, turning them off, and their patience."""

from __future__ import annotations

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import one_word, process_argument, words
from paas.cli.parsing import Misused
from paas.cli.reports import report_options, show_report
from paas.cli.session import Session
from paas.errors import PaasError
from paas.model.app import App
from paas.model.names import parse_process_type, shown
from paas.model.processes import CHECKS, Checks
from paas.model.settings import BOOT_SECONDS, DRAIN_SECONDS, TEST, Setting
from paas.store.processes import EVERY_TYPE

PROPERTIES: dict[str, Setting[int] | Setting[bool]] = {
    "boot-seconds": BOOT_SECONDS,
    "drain-seconds": DRAIN_SECONDS,
    # Dokku's name for the same.
    "wait-to-retire": DRAIN_SECONDS,
    "test": TEST,
}
FIELDS = ("disabled-list", "skipped-list", "boot-seconds", "drain-seconds", "test")


class ChecksFailed(PaasError):
    """Instances that run do not pass their checks."""


def run(session: Session, app: App, process: str | None) -> None:
    """Ask each running instance its checks once; 1 when one does not hold."""
    kind = None if process is None else parse_process_type(process)
    faults = session.platform.check(app, kind, report=session.report)
    if faults:
        raise ChecksFailed(
            f"{faults} of the checks do not hold",
            resolution=f"See what the instances say: paas logs {app.name}",
        )
    session.report.result("All checks hold")


def enable(session: Session, app: App, processes: tuple[str, ...]) -> None:
    """Check instances again before they serve."""
    _switch(session, app, processes, Checks.ENABLED)


def disable(session: Session, app: App, processes: tuple[str, ...]) -> None:
    """No checks, and no overlap: old instances stop before the new ones start."""
    _switch(session, app, processes, Checks.DISABLED)


def skip(session: Session, app: App, processes: tuple[str, ...]) -> None:
    """No checks: new instances serve as soon as they are started."""
    _switch(session, app, processes, Checks.SKIPPED)


def _switch(session: Session, app: App, processes: tuple[str, ...], mode: Checks) -> None:
    # Dokku separates them by commas as well.
    names = [name for word in processes for name in word.split(",") if name]
    kinds = [parse_process_type(name) for name in names] or [EVERY_TYPE]
    with session.store.transaction():
        if kinds == [EVERY_TYPE]:
            for kind, name in session.store.processes.list(app.id):
                if name == CHECKS.name:
                    session.store.processes.set(app.id, kind, name, None)
        for kind in kinds:
            session.store.processes.set(app.id, kind, CHECKS.name, mode.value)
        session.note(app, f"checks {mode.value}", " ".join(names))
    whom = ", ".join(names) or "all process types"
    session.report.step(f"Checks of {app.name} are {mode.value} for {whom}")


def change(session: Session, app: App | None, key: str, value: str | None) -> None:
    """Change a property; without a value it is as at first."""
    setting = PROPERTIES.get(key)
    if setting is None:
        raise Misused(f"{shown(key)} is not one of {', '.join(PROPERTIES)}")
    if value is not None:
        setting.parse(value)
    session.keep(app, setting.name, value, "checks:set", key)
    whose = "every app" if app is None else app.name
    session.report.step(
        f"{f'Setting {key} to {value}' if value else f'Unsetting {key}'} for {whose}"
    )


def report(session: Session, app: App | None, form: str, only: str | None) -> None:
    """Show how one app is checked, or all."""
    apps = session.apps() if app is None else [app]
    show_report(session, "checks", {one.name: _fields(session, one) for one in apps}, form, only)


def _fields(session: Session, app: App) -> dict[str, str]:
    modes = {
        kind or "_all_": value
        for (kind, name), value in session.store.processes.list(app.id).items()
        if name == CHECKS.name
    }
    value = session.store.settings.value

    def those(mode: Checks) -> str:
        return ",".join(kind for kind, text in modes.items() if text == mode.value) or "none"

    return {
        "disabled-list": those(Checks.DISABLED),
        "skipped-list": those(Checks.SKIPPED),
        "boot-seconds": str(value(BOOT_SECONDS, app.id)),
        "drain-seconds": str(value(DRAIN_SECONDS, app.id)),
        "test": "on" if value(TEST, app.id) else "off",
    }


COMMANDS = (
    Command(
        "checks:run",
        "Ask the running instances their checks",
        Access.VIEW,
        run,
        Names.AN_APP,
        arguments=(process_argument(),),
    ),
    Command(
        "checks:enable",
        "Check new instances before they serve",
        Access.DEPLOY,
        enable,
        Names.AN_APP,
        arguments=(words("processes", "PROCESS-TYPE", required=False),),
    ),
    Command(
        "checks:disable",
        "Do without checks, and stop old instances first",
        Access.DEPLOY,
        disable,
        Names.AN_APP,
        arguments=(words("processes", "PROCESS-TYPE", required=False),),
        description="A deploy then has an interruption; use it where two must never run at once.",
    ),
    Command(
        "checks:skip",
        "Do without checks",
        Access.DEPLOY,
        skip,
        Names.AN_APP,
        arguments=(words("processes", "PROCESS-TYPE", required=False),),
    ),
    Command(
        "checks:set",
        "Set how patient checks are, and whether pushes are tested",
        Access.DEPLOY,
        change,
        Names.APP_OR_GLOBAL,
        arguments=(one_word("key", "PROPERTY"), one_word("value", "VALUE", required=False)),
        description=(
            "boot-seconds: until when a new instance has to be healthy. drain-seconds (also"
            " wait-to-retire): how long an old one may finish its connections. test on|off:"
            " whether the tests of app.json (environments.test.scripts.test) or of the process"
            " type `test` run before a push is released. Without a value: as at first."
        ),
    ),
    Command(
        "checks:report",
        "Show how instances are checked",
        Access.VIEW,
        report,
        Names.MAYBE_AN_APP,
        options=report_options("checks", FIELDS),
    ),
)
