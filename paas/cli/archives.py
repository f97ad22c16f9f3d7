"""The commands of images as archives: save and load, export and import."""

from __future__ import annotations

import click

from paas.cli.access import Access
from paas.cli.command import Command
from paas.cli.options import one_word
from paas.cli.parsing import Misused
from paas.cli.session import Session
from paas.deploy.images import Listed, free_name, normal
from paas.engine.images import Image
from paas.engine.reference import Reference, parse_reference

DIGITS = 12
"""Of an id that people see."""


def save(session: Session, image: str, form: str) -> None:
    """Write an image to standard output, for `docker load`, `podman load` or `images:load`."""
    _refuse_terminal(session)
    images = session.platform.images
    found = images.look(image).image
    name = _name_of(images.look(image), image)
    with images.engine.flat.folder() as folder:
        archive = folder / "archive"
        images.engine.registry.save(found, name, archive, _to_stderr(session), oci=form == "oci")
        with archive.open("rb") as file:
            while chunk := file.read(1 << 20):
                session.output.data(chunk)


def load(session: Session, name: str | None) -> None:
    """Read the images of an archive from standard input."""
    engine = session.platform.images.engine
    with engine.flat.spooled(session.request.stdin, "the archive") as archive:
        if name is not None:
            loaded = [(free_name(name), engine.registry.load(archive, name, session.report))]
        else:
            loaded = engine.registry.load_all(archive, session.report)
    for reference, image in loaded:
        session.report.step(f"Loaded {reference.familiar} as {short(image)}")


def export(session: Session, image: str) -> None:
    """Write all files of an image to standard output, as one tar."""
    _refuse_terminal(session)
    images = session.platform.images
    found = images.look(image).image
    with open(session.request.stdout, "wb", closefd=False) as target:
        images.engine.flat.export(found, target)


def import_(session: Session, name: str, message: str) -> None:
    """Make an image of a root filesystem, a tar on standard input."""
    flat = session.platform.images.engine.flat
    reference = free_name(name)
    with flat.spooled(session.request.stdin, "the archive") as archive:
        image = flat.import_(archive, reference, message)
    session.report.step(f"Imported {reference.familiar} as {short(image)}")


def _name_of(listed: Listed, text: str) -> Reference:
    """The name that goes into an archive: the one that was typed, else one it has."""
    if listed.names:
        typed = [name for name in listed.names if name == normal(text)]
        return parse_reference((typed or list(listed.names))[0])
    return Reference("docker.io", "library/image", short(listed.image))


def _to_stderr(session: Session) -> _Aside:
    return _Aside(session)


class _Aside:
    """Progress beside data: standard output belongs to the archive."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def step(self, text: str) -> None:
        """Drop it."""

    def result(self, text: str) -> None:
        """Drop it."""

    def detail(self, text: str) -> None:
        """Drop it."""

    def warn(self, text: str) -> None:
        """On standard error, as ever."""
        self._session.report.warn(text)

    def output(self, data: bytes) -> None:
        """Drop it."""


def _refuse_terminal(session: Session) -> None:
    if session.request.tty is not None:
        raise Misused("An archive is not written to a terminal: redirect it, > image.tar")


def short(image: Image) -> str:
    """The digits of an id that people see."""
    return image.id.removeprefix("sha256:")[:DIGITS]


def image_argument() -> click.Argument:
    """The name or id of an image, given to the function as `image`."""
    return one_word("image", "IMAGE")


COMMANDS = (
    Command(
        "images:save",
        "Write an image to standard output, as an archive",
        Access.ADMIN,
        save,
        arguments=(image_argument(),),
        options=(
            click.Option(
                ["--format", "form"],
                type=click.Choice(["docker", "oci"]),
                default="docker",
                metavar="FORMAT",
                help="One of docker, oci.",
            ),
        ),
    ),
    Command(
        "images:load",
        "Read images from an archive on standard input",
        Access.ADMIN,
        load,
        arguments=(one_word("name", "NAME", required=False),),
        description="Archives of docker save, podman save and OCI; NAME where they have none.",
    ),
    Command(
        "images:export",
        "Write the files of an image to standard output, as a tar",
        Access.ADMIN,
        export,
        arguments=(image_argument(),),
    ),
    Command(
        "images:import",
        "Make an image of a root filesystem on standard input",
        Access.ADMIN,
        import_,
        arguments=(one_word("name", "NAME"),),
        options=(
            click.Option(
                ["--message"], default="Imported", metavar="TEXT", help="For the history."
            ),
        ),
    ),
)
