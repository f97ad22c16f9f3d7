"""The commands of storage: volumes, and where apps have them mounted."""

from __future__ import annotations

from dataclasses import replace

import click

from paas.cli.access import Access, Denied
from paas.cli.command import Command, Names
from paas.cli.options import format_option, one_word
from paas.cli.output import columns, moment
from paas.cli.parsing import Misused
from paas.cli.session import Session
from paas.cli.size import size as shown_size
from paas.model.app import App
from paas.model.names import parse_process_type, shown
from paas.model.proxysettings import parse_size
from paas.model.settings import UnknownSetting
from paas.model.storage import (
    Mounted,
    Volume,
    parse_mount,
    parse_owner,
    parse_quota,
    parse_subpath,
    parse_volume_name,
)
from paas.store.storage import VolumeUnknown


def create(
    session: Session,
    name: str,
    chown: str | None,
    mode: str,
    size: str | None,
    quota: str | None,
) -> None:
    """Make a volume."""
    session.platform.storage.create(
        parse_volume_name(name),
        owner=None if chown is None else parse_owner(chown),
        mode=_mode(mode),
        size=(parse_size(size) or None) if size else None,
        quota=parse_quota(quota) if quota else None,
        actor=session.actor,
    )
    session.report.step(f"Creating volume {name}")
    session.report.detail(f"Mount it: paas storage:mount APP {name}:/path/in/the/app")
    if size and not quota:
        session.report.warn(f"{name} may grow beyond {size}: only a --quota stops it")


def change(session: Session, name: str, key: str, value: str | None) -> None:
    """Give a volume another size or quota; without a value, none."""
    volume = session.store.storage.get(name)
    if key == "quota":
        volume = replace(volume, quota=parse_quota(value) if value else None)
    elif key == "size":
        volume = replace(volume, bytes=(parse_size(value) or None) if value else None)
    else:
        raise UnknownSetting(
            f"There is no property {shown(key)}", resolution="Properties: quota, size."
        )
    session.platform.storage.change(volume, actor=session.actor)
    done = f"Setting {key} to {value}" if value else f"Unsetting {key}"
    session.report.step(f"{done} for volume {name}")


def destroy(session: Session, name: str) -> None:
    """Remove a volume, after its name was typed."""
    # First: nobody types the name for nothing.
    session.platform.storage.check_unused(name)
    session.confirm(name, f"This command will destroy the volume {name} and all files in it.")
    session.platform.storage.destroy(name, actor=session.actor)
    session.report.step(f"Destroyed volume {name}")


def mount(
    session: Session, app: App, mount: str, process_type: str, subpath: str, *, read_only: bool
) -> None:
    """Have an app's containers find a volume at a path."""
    parsed = _parsed(session, mount, process_type)
    if subpath and parsed.is_directory:
        raise Misused("A directory of the server has no --subpath: name the part itself")
    parsed = replace(
        parsed,
        subpath=parse_subpath(subpath) if subpath else "",
        read_only=parsed.read_only or read_only,
    )
    session.platform.storage.mount(app, parsed, actor=session.actor)
    session.report.step(f"{parsed.source} is at {parsed.target} of {app.name}")
    _tell_when(session, app)


def unmount(session: Session, app: App, mount: str) -> None:
    """Have an app's containers do without it."""
    parsed = parse_mount(mount)
    session.platform.storage.unmount(app, parsed, actor=session.actor)
    session.report.step(f"{parsed.source} is not at {parsed.target} of {app.name} any more")
    _tell_when(session, app)


def list_storage(session: Session, app: App | None, form: str) -> None:
    """Print what an app has mounted, or all volumes."""
    if app is not None:
        _list_mounts(session, app, form)
        return
    rows = [_entry(session, volume) for volume in session.store.storage.list()]
    seen = [row for row in rows if row["apps"] or session.permissions.may(Access.ADMIN)]
    if form == "json":
        session.output.json(seen)
        return
    session.report.result("Volumes")
    table = [
        (str(r["name"]), _amount(r), _quota(r), ", ".join(r["apps"]))  # type: ignore[arg-type]
        for r in seen
    ]
    for line in columns([("NAME", "SIZE", "QUOTA", "MOUNTED IN"), *table]):
        session.output.line(line)


def info(session: Session, name: str, form: str) -> None:
    """Print what is known of a volume."""
    volume = session.store.storage.get(name)
    entry = _entry(session, volume)
    if not entry["apps"] and not session.permissions.may(Access.ADMIN):
        raise VolumeUnknown(name)
    if form == "json":
        session.output.json(entry)
        return
    session.report.result(f"{name} volume information")
    rows = [
        ("Size:", _amount(entry)),
        ("Quota:", _quota(entry)),
        ("Created at:", moment(volume.created_at)),
        *(
            ("Mounted in:", f"{app.name} {each.target}{_extra(each)}")
            for app in session.apps()
            for each in session.store.storage.mounts(app.id)
            if each.source == name
        ),
    ]
    for line in columns(rows):
        session.report.detail(line)


def export(session: Session, name: str) -> None:
    """Write all files of a volume to standard output, as a tar."""
    if session.request.tty is not None:
        raise Misused("An archive is not written to a terminal: redirect it, > volume.tar")
    session.platform.storage.export(name, session.request.stdout)


def import_(session: Session, name: str) -> None:
    """Make a tar on standard input all that is in a volume."""
    volume, storage = session.store.storage.get(name), session.platform.storage
    if session.request.tty is not None:
        raise Misused("The archive comes on standard input: < volume.tar")
    if not session.force and not storage.is_empty(volume):
        raise Misused(f"The volume {name} is not empty: add --force to replace what it has")
    storage.replace(name, session.request.stdin, actor=session.actor)
    session.report.step(f"Imported {shown_size(storage.size(volume))} into volume {name}")


def _parsed(session: Session, text: str, process_type: str) -> Mounted:
    parsed = parse_mount(text)
    if parsed.is_directory and not session.permissions.may(Access.ROOT):
        raise Denied(
            "Directories of the server are mounted by root on the server alone",
            resolution="Use a volume: paas storage:create NAME",
        )
    kind = parse_process_type(process_type) if process_type else ""
    return replace(parsed, process_type=kind)


def _tell_when(session: Session, app: App) -> None:
    if app.can_run:
        session.report.detail("It takes effect with the next deploy or restart:")
        session.report.detail(f"paas ps:restart {app.name}")


def _mode(text: str) -> int:
    if not text or len(text) > 4 or not set(text) <= set("01234567"):
        raise Misused("The mode of a directory is written like 755")
    return int(text, 8)


def _entry(session: Session, volume: Volume) -> dict[str, object]:
    visible = {app.name for app in session.apps()}
    users = session.store.storage.users(volume.name)
    apps = [name for _, name in users if name in visible]
    # What is nobody's business is not measured either.
    counts = apps or session.permissions.may(Access.ADMIN)
    return {
        "name": volume.name,
        "bytes": session.platform.storage.size(volume) if counts else 0,
        "limit": volume.bytes,
        "quota": volume.quota,
        "apps": apps,
    }


def _amount(entry: dict[str, object]) -> str:
    used, limit = entry["bytes"], entry["limit"]
    text = shown_size(used if isinstance(used, int) else 0)
    if not isinstance(limit, int):
        return text
    over = " (too large)" if isinstance(used, int) and used > limit else ""
    return f"{text} of {shown_size(limit)}{over}"


def _quota(entry: dict[str, object]) -> str:
    quota = entry["quota"]
    return shown_size(quota) if isinstance(quota, int) else "none"


def _list_mounts(session: Session, app: App, form: str) -> None:
    mounts = session.store.storage.mounts(app.id)
    if form == "json":
        session.output.json(
            [
                {
                    "source": each.source,
                    "container_path": each.target,
                    "read_only": each.read_only,
                    "process_type": each.process_type,
                    "subpath": each.subpath,
                }
                for each in mounts
            ]
        )
        return
    session.report.result(f"{app.name} volume bind-mounts")
    for each in mounts:
        session.output.line(f"{each.source}:{each.target}{_extra(each)}")


def _extra(each: Mounted) -> str:
    words = [
        *(["read-only"] if each.read_only else []),
        *([f"only {each.process_type}"] if each.process_type else []),
        *([f"of it {each.subpath}"] if each.subpath else []),
    ]
    return f" ({', '.join(words)})" if words else ""


QUOTA = (
    "Quotas take ext4 or XFS with project quotas (mkfs.ext4 -O project,quota; mount -o prjquota), "
    "below /var/lib/paas."
)


def _mount_argument() -> click.Argument:
    return one_word("mount", "NAME:/PATH[:ro]")


COMMANDS = (
    Command(
        "storage:create",
        "Make a volume, which outlives instances",
        Access.ADMIN,
        create,
        arguments=(one_word("name", "NAME"),),
        options=(
            click.Option(
                ["--chown"], metavar="OWNER", help="heroku, herokuish, paketo, root or UID[:GID]."
            ),
            click.Option(["--mode"], default="755", metavar="MODE", help="As for chmod."),
            click.Option(["--size"], metavar="SIZE", help="How large it should stay, as 2g."),
            click.Option(["--quota"], metavar="SIZE", help="How large it can become, as 5g."),
        ),
        description="Without --chown it begins with the files and the owner that the first "
        "app's image has at the path where it is mounted, as in Docker. A size is watched, a "
        f"quota enforced by the kernel. {QUOTA}",
    ),
    Command(
        "storage:set",
        "Set how large a volume can become, or should stay",
        Access.ADMIN,
        change,
        arguments=(
            one_word("name", "NAME"),
            one_word("key", "PROPERTY"),
            one_word("value", "VALUE", required=False),
        ),
        description="quota: the kernel lets its files take no more, at once and while apps "
        f"write, such as 5g; size: events tell when it has more. Without a value: none. {QUOTA}",
    ),
    Command(
        "storage:mount",
        "Mount a volume in an app",
        Access.ADMIN,
        mount,
        Names.AN_APP,
        arguments=(_mount_argument(),),
        options=(
            click.Option(
                ["--process-type"], default="", metavar="TYPE", help="For its containers alone."
            ),
            click.Option(["--subpath"], default="", metavar="DIR", help="A part of the volume."),
            click.Option(["--read-only"], is_flag=True, help="The same as :ro."),
        ),
        description="Takes effect with the next deploy or restart. Root on the server also "
        "mounts directories of it, as /host/path:/path; owners in the app are those on disk.",
    ),
    Command(
        "storage:unmount",
        "Unmount a volume from an app",
        Access.OWN,
        unmount,
        Names.AN_APP,
        arguments=(_mount_argument(),),
    ),
    Command(
        "storage:list",
        "List what an app has mounted, or all volumes",
        Access.VIEW,
        list_storage,
        Names.MAYBE_AN_APP,
        options=(format_option(),),
    ),
    Command(
        "storage:info",
        "Show a volume",
        Access.VIEW,
        info,
        arguments=(one_word("name", "NAME"),),
        options=(format_option(),),
    ),
    Command(
        "storage:export",
        "Write the files of a volume to standard output, as a tar",
        Access.ADMIN,
        export,
        arguments=(one_word("name", "NAME"),),
        description="A database that runs is exported by its own command instead.",
    ),
    Command(
        "storage:import",
        "Replace the files of a volume by a tar on standard input",
        Access.ADMIN,
        import_,
        arguments=(one_word("name", "NAME"),),
        description="All or nothing. Apps that have it mounted are stopped first; --force "
        "replaces what the volume has.",
    ),
    Command(
        "storage:destroy",
        "Remove a volume and all files in it",
        Access.ADMIN,
        destroy,
        arguments=(one_word("name", "NAME"),),
        description="Asks for the volume's name on a terminal; --force does not ask. Refused "
        "while an app has it mounted.",
    ),
)
