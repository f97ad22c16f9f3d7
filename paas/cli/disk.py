"""The commands of the disk: what takes the room, and freeing what nothing uses."""

from __future__ import annotations

from paas.cli.access import Access
from paas.cli.command import Command
from paas.cli.options import format_option
from paas.cli.output import columns
from paas.cli.session import Session
from paas.cli.size import size


def show(session: Session, form: str) -> None:
    """Print what takes the room, and what `gc` would free."""
    usage, space = session.platform.usage(), session.platform.space()
    if form == "json":
        kinds = [
            {"kind": u.kind, "count": u.count, "bytes": u.bytes, "reclaimable": u.reclaimable}
            for u in usage
        ]
        session.output.json({"usage": kinds, "total": space.total, "free": space.free})
        return
    session.report.result("disk usage")
    rows = [("TYPE", "COUNT", "SIZE", "RECLAIMABLE")]
    rows += [(u.kind, str(u.count), size(u.bytes), size(u.reclaimable)) for u in usage]
    for line in columns(rows):
        session.output.line(line)
    session.output.line("")
    session.output.line(f"{size(space.free)} of {size(space.total)} are free")


def collect(session: Session) -> None:
    """Free what no release, container or recent build uses."""
    session.report.step("Freeing what nothing uses")
    done = session.platform.images.collect()
    session.report.detail(f"{len(done.images)} images, {len(done.layers)} layers")
    session.report.step(f"{size(done.bytes)} freed")


COMMANDS = (
    Command(
        "df", "Show what takes the room on the disk", Access.ADMIN, show, options=(format_option(),)
    ),
    Command("gc", "Free what no release, container or recent build uses", Access.ADMIN, collect),
)
