"""backup, restore, and backup:list, verify, adopt, schedule, unschedule, auth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click

from paas.cli.access import Access, Denied
from paas.cli.command import Command
from paas.cli.options import format_option, one_word
from paas.cli.output import columns, moment
from paas.cli.parsing import Misused
from paas.cli.service_commands import ServiceCommands
from paas.cli.session import Session
from paas.model.backup import Backup, Schedule
from paas.model.service import Service
from paas.plugin.backup_target import S3


class BackingUp:
    """The commands of one datastore's backups, as functions."""

    def __init__(self, service: ServiceCommands) -> None:
        self._of = service

    def backup(self, session: Session, service: str, target: str | None, *, verify: bool) -> None:
        """Make a backup now."""
        found = self._of.find(session, service)
        made = session.platform.service_backups.backup(
            found, target or "", verify=verify, actor=session.actor, report=session.report
        )
        session.report.result(f"Backup {made.id} of {service}: {made.target}/{made.file}")

    def list(self, session: Session, service: str, form: str) -> None:
        """Show the backups of a service, the newest first."""
        found = session.store.backups.of(self._of.find(session, service))
        if form == "json":
            session.output.json([_entry(one) for one in found])
            return
        session.report.result(f"{service} backups")
        rows = [
            (
                *(f"{one.id}", moment(one.started_at), f"{one.bytes} bytes"),
                *(f"{one.seconds:.1f} s", one.verdict.value, one.detail or "-"),
                f"{one.target}/{one.file}",
            )
            for one in found
        ]
        for line in columns(rows):
            session.output.line(line)

    def verify(self, session: Session, service: str, number: int | None) -> None:
        """Restore a backup into a server of its own, which is then thrown away."""
        found = self._of.find(session, service)
        checked = session.platform.service_backups.verify(found, number, report=session.report)
        session.report.result(f"Backup {checked.id} of {service} is good: {checked.detail}")

    def adopt(self, session: Session, service: str, source: str) -> None:
        """Take a file that another server's backup made for a backup of a service."""
        found = self._of.find(session, service)
        if not source.startswith(S3) and not session.permissions.may(Access.ROOT):
            raise Denied(
                "Files of the server are named by root on the server alone",
                resolution="Name one in a bucket: s3://BUCKET/PREFIX/FILE",
            )
        made = session.platform.service_backups.adopt(
            found, source, actor=session.actor, report=session.report
        )
        session.report.result(f"Backup {made.id} of {service}: {made.bytes} bytes, unchecked")

    def restore(self, session: Session, service: str, number: int | None) -> None:
        """Give a service the content of one of its backups."""
        found = self._of.find(session, service)
        session.confirm(
            service, f"This command will replace what {service} holds by a backup of it."
        )
        used = session.platform.service_backups.restore(
            found, number, actor=session.actor, report=session.report
        )
        session.report.result(f"{service} holds what it held on {moment(used.started_at)}")

    def schedule(
        self,
        session: Session,
        service: str,
        cron: str | None,
        target: str | None,
        keep: int,
        keep_days: int,
        form: str,
        *,
        verify: bool,
    ) -> None:
        """Back a service up from time to time, or say when that is done."""
        found = self._of.find(session, service)
        if cron is None:
            self._show_schedule(session, found.id, form)
            return
        made = session.platform.service_backups.schedule(
            found, cron, target or "", (keep, keep_days), verify=verify, actor=session.actor
        )
        session.report.step(f"The next backup of {service} is on {moment(made.next_at)}")

    def _show_schedule(self, session: Session, service_id: int, form: str) -> None:
        schedule = session.store.backups.schedule_of(service_id)
        found = [schedule] if schedule is not None else []
        if form == "json":
            session.output.json([_plan(one) for one in found])
            return
        for one in found:
            keep = f"keep {one.keep_count or 'all'} and {one.keep_days or 'all'} days"
            session.output.line(f"{one.cron}  {one.target}  {keep}  next {moment(one.next_at)}")

    def unschedule(self, session: Session, service: str) -> None:
        """Back a service up no more by itself."""
        with session.store.transaction():
            session.store.backups.unschedule(self._of.find(session, service).id)
            session.note(None, f"{self._of.noun}:backup:unschedule", service)
        session.report.step(f"{service} is no longer backed up by itself")

    def auth(
        self,
        session: Session,
        service: str,
        key: str | None,
        region: str | None,
        endpoint: str | None,
    ) -> None:
        """Set the key of a bucket, its secret from standard input; without one forget it."""
        found = self._of.find(session, service)
        if key is None:
            self._keep_key(session, found, {})
            session.report.step(f"Forgot the key of {service}'s bucket")
            return
        secret = session.read_input(4096).decode("utf-8", "replace").strip()
        if not secret:
            raise Misused("The secret is read from standard input, which is empty")
        values = {"key": key, "secret": secret, "region": region or "", "endpoint": endpoint or ""}
        self._keep_key(session, found, values)
        session.report.step(f"Set the key of {service}'s bucket")

    def _keep_key(self, session: Session, service: Service, values: Mapping[str, str]) -> None:
        with session.store.transaction():
            session.store.backups.set_credentials(service, values)
            session.note(None, f"{self._of.noun}:backup:auth", service.name)


def _entry(one: Backup) -> dict[str, object]:
    return {
        "id": one.id,
        "started": moment(one.started_at),
        "bytes": one.bytes,
        "seconds": round(one.seconds, 3),
        "verdict": one.verdict.value,
        "detail": one.detail,
        "target": one.target,
        "file": one.file,
        "version": one.version,
        "scheduled": one.scheduled,
    }


def _plan(one: Schedule) -> dict[str, object]:
    return {
        "cron": one.cron,
        "target": one.target,
        "keep": one.keep_count,
        "keep_days": one.keep_days,
        "verify": one.verify,
        "next": moment(one.next_at),
    }


def backups(of: ServiceCommands) -> Iterator[Command]:
    """The commands of one datastore's backups."""
    do = BackingUp(of)
    title = of.manifest.title
    number = click.IntRange(min=1)
    yield of.command(
        "backup",
        f"Back up a {title} service to a folder or a bucket",
        Access.ADMIN,
        do.backup,
        arguments=(one_word("target", "[FOLDER|s3://BUCKET/PREFIX]", required=False),),
        options=(click.Option(["--verify"], is_flag=True, help="Restore it once, to be sure."),),
    )
    yield of.command(
        "backup:list",
        f"List the backups of a {title} service",
        Access.DEPLOY,
        do.list,
        options=(format_option(),),
    )
    for verb, summary, run, access in (
        ("backup:verify", "Check a backup by restoring it", do.verify, Access.DEPLOY),
        ("restore", "Replace the content of a {} service by a backup", do.restore, Access.OWN),
    ):
        yield of.command(
            verb,
            summary,
            access,
            run,
            arguments=(click.Argument(["number"], type=number, required=False, metavar="NUMBER"),),
            description="The newest that was not found bad unless its number is given.",
        )
    yield of.command(
        "backup:adopt",
        f"Take a backup file of another server for one of a {title} service",
        Access.ADMIN,
        do.adopt,
        arguments=(one_word("source", "FILE|s3://BUCKET/PREFIX/FILE"),),
        description="Then backup:verify checks it and restore restores it.",
    )
    yield of.command(
        "backup:schedule",
        f"Back up a {title} service by a cron expression, in UTC",
        Access.ADMIN,
        do.schedule,
        arguments=(
            one_word("cron", "CRON", required=False),
            one_word("target", "[FOLDER|s3://BUCKET/PREFIX]", required=False),
        ),
        options=(
            click.Option(["--keep"], type=click.IntRange(0), default=7, metavar="COUNT",
                         help="How many are kept, 7 unless given; 0 all."),
            click.Option(["--keep-days"], type=click.IntRange(0), default=0, metavar="DAYS",
                         help="And how long; 0 for ever."),
            click.Option(["--verify/--no-verify"], default=True,
                         help="Restore each once, to be sure."),
            format_option(),
        ),
        description="Without a cron expression: shows what is scheduled.",
    )  # fmt: skip
    yield of.command(
        "backup:unschedule",
        f"Back up a {title} service no more by itself",
        Access.ADMIN,
        do.unschedule,
    )
    yield of.command(
        "backup:auth",
        f"Set the key of the bucket for backups of a {title} service",
        Access.ADMIN,
        do.auth,
        arguments=(
            one_word("key", "KEY", required=False),
            one_word("region", "REGION", required=False),
            one_word("endpoint", "ENDPOINT", required=False),
        ),
        description="The secret is read from standard input. Without a key it is forgotten.",
    )
