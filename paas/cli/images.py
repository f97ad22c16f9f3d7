"""The commands of images: those that are here, where they come from, where they go."""

from __future__ import annotations

from collections.abc import Sequence

import click

from paas.cli.access import Access
from paas.cli.archives import COMMANDS as ARCHIVES
from paas.cli.archives import image_argument, short
from paas.cli.command import Command
from paas.cli.options import format_option, one_word, words
from paas.cli.output import columns
from paas.cli.session import Session
from paas.cli.size import size
from paas.deploy.images import Listed, free_name
from paas.engine.history import Made, history
from paas.engine.reference import parse_reference

MOST_IN_LIST = 60
"""Characters of an instruction that a history shows."""


def list_images(session: Session, form: str) -> None:
    """Print the images that are here, the newest first."""
    found = session.platform.images.everything()
    if form == "json":
        session.output.json([_fields(each) for each in found])
        return
    session.report.result("images")
    rows = [("NAME", "ID", "CREATED", "SIZE", "USED BY")]
    for each in found:
        created = (each.image.config.created or "")[:10]
        for name in map(_familiar, each.names) if each.names else ("<none>",):
            used = _several(each.used_by)
            rows.append((name, short(each.image), created, size(each.bytes), used))
    for line in columns(rows):
        session.output.line(line)


def pull(session: Session, name: str) -> None:
    """Fetch an image from its registry."""
    report = session.report
    report.step(f"Pulling {name}")
    image = session.platform.images.engine.registry.pull(free_name(name), report)
    session.note(None, "images:pull", name)
    report.step(f"{name} is {short(image)}")


def push(session: Session, image: str, name: str | None) -> None:
    """Deliver an image to a registry, under its own name or another."""
    images = session.platform.images
    listed = images.look(image)
    session.report.step(f"Pushing {name or image}")
    images.engine.registry.push(listed.image, name or image, session.report)
    session.report.step(f"Pushed {short(listed.image)}")


def tag(session: Session, image: str, name: str) -> None:
    """Give an image one more name."""
    named = session.platform.images.tag(image, name)
    session.note(None, "images:tag", f"{image} {name}")
    session.report.step(f"{image} is also {named.familiar}")


def remove(session: Session, image: tuple[str, ...]) -> None:
    """Take names from images, and remove what nothing needs then."""
    for text in image:
        session.platform.images.remove(text)
        session.note(None, "images:remove", text)
        session.report.step(f"{text} is removed")


def show_history(session: Session, image: str, form: str) -> None:
    """Print what made each layer of an image, the newest first."""
    images = session.platform.images
    lines = history(images.look(image).image, images.engine.layers)
    if form == "json":
        session.output.json([_made(line) for line in lines])
        return
    session.report.result(f"{image} history")
    rows = [("CREATED", "CREATED BY", "SIZE", "COMMENT")]
    for line in lines:
        by = " ".join(line.created_by.split())
        by = by if len(by) <= MOST_IN_LIST else f"{by[: MOST_IN_LIST - 1]}…"
        rows.append((line.created[:19].replace("T", " "), by, size(line.bytes), line.comment))
    for text in columns(rows):
        session.output.line(text)


def inspect(session: Session, image: str) -> None:
    """Print all that is known of an image, as JSON."""
    images = session.platform.images
    listed = images.look(image)
    layers = images.engine.layers
    session.output.json(
        {
            **_fields(listed),
            "config": listed.image.config.to_json(
                [layers.diff_id(layer) or "" for layer in listed.image.layers]
            ),
            "layers": [
                {"id": layer, "diff_id": layers.diff_id(layer), "bytes": layers.size(layer)}
                for layer in listed.image.layers
            ],
        }
    )


def prune(session: Session, *, every: bool) -> None:
    """Remove the images that nothing names or needs."""
    if every:
        session.confirm("all", "This removes every image that no release and no container needs.")
    done = session.platform.images.prune(all_names=every)
    session.report.step(
        f"{len(done.images)} images and {len(done.layers)} layers removed, {size(done.bytes)} freed"
    )


def verify(session: Session, *, repair: bool) -> int:
    """Look whether every layer is as it was made; 1 when one is not."""
    images = session.platform.images
    damaged = images.verify()
    for one in damaged:
        session.report.warn(f"Layer {one.layer}: {one.problem}")
        session.report.warn(f"To repair it: {one.remedy}")
    if not damaged:
        session.report.step(f"{len(images.engine.layers.list())} layers are as they were made")
        return 0
    if not repair:
        return 1
    left = images.repair(damaged, session.report)
    for image in left:
        session.report.warn(f"{image[7:19]} has to be built again")
    return 1 if left else 0


def _familiar(name: str) -> str:
    return parse_reference(name).familiar


def _several(users: Sequence[str]) -> str:
    more = f" and {len(users) - 1} more" if users[1:] else ""
    return f"{users[0]}{more}" if users else ""


def _fields(listed: Listed) -> dict[str, object]:
    return {
        "id": listed.image.id,
        "names": [_familiar(name) for name in listed.names],
        "created": listed.image.config.created,
        "bytes": listed.bytes,
        "used_by": listed.used_by,
    }


def _made(line: Made) -> dict[str, object]:
    return {
        "created": line.created,
        "created_by": line.created_by,
        "layer": line.layer,
        "bytes": line.bytes,
        "comment": line.comment,
    }


COMMANDS = (
    Command(
        "images:list",
        "List the images on the server",
        Access.ADMIN,
        list_images,
        options=(format_option(),),
    ),
    Command(
        "images:pull",
        "Fetch an image from its registry",
        Access.ADMIN,
        pull,
        arguments=(one_word("name", "NAME"),),
    ),
    Command(
        "images:push",
        "Deliver an image to a registry",
        Access.ADMIN,
        push,
        arguments=(image_argument(), one_word("name", "NAME", required=False)),
    ),
    Command(
        "images:tag",
        "Give an image one more name",
        Access.ADMIN,
        tag,
        arguments=(image_argument(), one_word("name", "NAME")),
    ),
    Command(
        "images:remove",
        "Remove images by name or id; never one that is in use",
        Access.ADMIN,
        remove,
        arguments=(words("image", "IMAGE"),),
    ),
    *ARCHIVES,
    Command(
        "images:history",
        "Show what made each layer of an image, and its size",
        Access.ADMIN,
        show_history,
        arguments=(image_argument(),),
        options=(format_option(),),
    ),
    Command(
        "images:inspect",
        "Show all that is known of an image",
        Access.ADMIN,
        inspect,
        arguments=(image_argument(),),
    ),
    Command(
        "images:prune",
        "Remove images that nothing names or needs",
        Access.ADMIN,
        prune,
        options=(
            click.Option(
                ["--all", "every"],
                is_flag=True,
                help="Also those that have only a name, but for the server's own below paas/.",
            ),
        ),
    ),
    Command(
        "images:verify",
        "Look for damaged layers",
        Access.ADMIN,
        verify,
        options=(click.Option(["--repair"], is_flag=True, help="Pull damaged images again."),),
    ),
)
