"""`containers:create` and `containers:run`: the engine by itself, for root, without an app."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Any, Literal

import click

from paas.cli import container_words
from paas.cli.access import Access
from paas.cli.command import Command
from paas.cli.options import one_word, words
from paas.cli.parsing import END_OF_OPTIONS, Misused
from paas.cli.run import Plain
from paas.cli.session import Session
from paas.engine import logs
from paas.engine.container import BY_HAND
from paas.engine.engine import Engine
from paas.engine.images import Image, ImageNotFound
from paas.engine.policy import RestartPolicy
from paas.engine.registry import find_or_pull
from paas.engine.spec import SHM_BYTES, ContainerSpec, Mount, command_of
from paas.engine.volumes import Volumes
from paas.errors import PaasError
from paas.host.terminal import Terminal
from paas.model.env import Secret
from paas.model.limits import Limits
from paas.model.processes import parse_cpus, parse_disk, parse_memory

OWNER = "by-hand"
"""The user ids of all these containers."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class NameTaken(PaasError):
    """A container has that name."""


@dataclass(frozen=True)
class Wishes:
    """The options, as they were typed."""

    name: str | None
    env: tuple[str, ...]
    label: tuple[str, ...]
    publish: tuple[str, ...]
    volume: tuple[str, ...]
    tmpfs: tuple[str, ...]
    network: Literal["private", "none", "host"]
    restart: str
    user: str
    workdir: str
    entrypoint: str | None
    memory: str | None
    cpus: str | None
    cpuset: str
    pids: int | None
    disk: str | None
    shm_size: str | None
    ulimit: tuple[str, ...]
    sysctl: tuple[str, ...]
    device: tuple[str, ...]
    stop_signal: str | None
    stop_timeout: float
    read_only: bool
    no_init: bool
    new_privileges: bool
    interactive: bool
    tty: bool


def create(session: Session, image: str, argv: tuple[str, ...], **options: Any) -> None:  # noqa: ANN401
    """Make a container and print its id."""
    engine = session.platform.engine
    spec = _specification(session, engine, image, argv, Wishes(**options))
    engine.containers.create(spec)
    session.output.line(spec.id)


def run(
    session: Session,
    image: str,
    argv: tuple[str, ...],
    *,
    detach: bool,
    **options: Any,  # noqa: ANN401
) -> int:
    """Run a container: to its end, and remove it; or with `detach` leave it running."""
    engine, wishes = session.platform.engine, Wishes(**options)
    spec = _specification(session, engine, image, argv, wishes)
    if not detach:
        if spec.restart.restarts:
            raise Misused("A restart policy is for what nobody waits for: add --detach")
        session.request.channel.end_with_client()
        terminal = session.terminal(Terminal if wishes.tty else Plain)
        return engine.foreground.run(
            spec, terminal.stdin, terminal.stdout, terminal.stderr,
            terminal if terminal.isatty else None,
        )  # fmt: skip
    engine.containers.create(spec)
    try:
        engine.containers.start(spec.id)
    except BaseException:
        engine.containers.remove(spec.id)
        raise
    session.output.line(spec.id)
    return 0


def remove(engine: Engine, container: str) -> None:
    """Remove a container; the log of one that was made here goes along."""
    found = engine.containers.get(container)
    engine.containers.remove(container)
    if BY_HAND in found.labels and found.log is not None:
        logs.remove([found.log])


def _specification(
    session: Session, engine: Engine, ref: str, argv: tuple[str, ...], wishes: Wishes
) -> ContainerSpec:
    """All of it is looked at before anything is made."""
    argv = argv[1:] if argv[:1] == (END_OF_OPTIONS,) else argv
    name = _free_name(engine, wishes.name)
    limits = _limits(wishes)
    image = _image(session, engine, ref)
    config = image.config
    if wishes.entrypoint is not None:
        # As in Docker: another ENTRYPOINT leaves the image's CMD behind.
        entrypoint = (wishes.entrypoint,) if wishes.entrypoint else ()
        args = (*entrypoint, *argv) or command_of(config, args=())
    else:
        args = command_of(config, args=tuple(argv) or None)
    container = secrets.token_hex(16)
    folder = engine.layout.logs / "containers"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return ContainerSpec(
        id=container,
        image=image.id,
        owner=OWNER,
        args=args,
        env={key: Secret(value) for key, value in container_words.pairs(wishes.env).items()},
        cwd=wishes.workdir,
        user=wishes.user,
        hostname=name,
        labels={**config.labels, **container_words.pairs(wishes.label), BY_HAND: "true"},
        network=wishes.network,
        publish=wishes.publish,
        mounts=_mounts(session, engine, wishes),
        limits=limits,
        init=not wishes.no_init,
        no_new_privileges=not wishes.new_privileges,
        read_only=wishes.read_only,
        stop_signal=wishes.stop_signal or config.stop_signal or "SIGTERM",
        stop_timeout=wishes.stop_timeout,
        log=folder / f"{container}.log",
        sysctls=container_words.pairs(wishes.sysctl),
        shm_bytes=container_words.size(wishes.shm_size) if wishes.shm_size else SHM_BYTES,
        tmpfs=dict(container_words.tmpfs(text) for text in wishes.tmpfs),
        ulimits=dict(container_words.ulimit(text) for text in wishes.ulimit),
        devices=tuple(container_words.device(text) for text in wishes.device),
        restart=RestartPolicy.parse(wishes.restart),
        terminal=wishes.tty,
        stdin=wishes.interactive,
    )


def _free_name(engine: Engine, name: str | None) -> str:
    if name is None:
        return ""
    if not _NAME.fullmatch(name):
        raise Misused("A name is of lower-case letters, digits and dashes")
    if any(name in (one.hostname, one.id) for one in engine.containers.list()):
        raise NameTaken(
            f"A container is called {name}",
            resolution=f"Choose another name, or remove it: paas containers:remove {name}",
        )
    return name


def _image(session: Session, engine: Engine, ref: str) -> Image:
    try:
        return engine.images.find(ref)
    except ImageNotFound:
        return find_or_pull(engine.images, engine.registry, ref, session.report)


def _mounts(session: Session, engine: Engine, wishes: Wishes) -> tuple[Mount, ...]:
    volumes = Volumes(engine.layout, engine.rootfs)
    user_range = engine.ranges.range_for(OWNER)
    mounts = []
    for one in map(container_words.volume, wishes.volume):
        if one.is_directory:
            mounts.append(volumes.bind(
                session.request.cwd / one.source, user_range, one.target,
                read_only=one.read_only,
            ))  # fmt: skip
        else:
            volumes.create(one.source)
            mounts.append(volumes.mount(
                one.source, user_range, one.target, read_only=one.read_only, fill=True
            ))  # fmt: skip
    return tuple(mounts)


def _limits(wishes: Wishes) -> Limits:
    standard = Limits()
    return Limits(
        memory_bytes=parse_memory(wishes.memory) if wishes.memory else standard.memory_bytes,
        cpus=parse_cpus(wishes.cpus) if wishes.cpus else None,
        cpu_set=wishes.cpuset,
        pids=wishes.pids or standard.pids,
        disk_bytes=parse_disk(wishes.disk) if wishes.disk else None,
    )


def _text(*names: str, metavar: str, default: str | None = None, text: str = "") -> click.Option:
    return click.Option(list(names), metavar=metavar, default=default, help=text)


def _many(*names: str, metavar: str, text: str = "") -> click.Option:
    return click.Option(list(names), multiple=True, metavar=metavar, help=text)


def _flag(*names: str, text: str) -> click.Option:
    return click.Option(list(names), is_flag=True, help=text)


def _options() -> tuple[click.Option, ...]:
    return (
        _text("--name", metavar="NAME", text="Also its host name."),
        _many("-e", "--env", metavar="KEY=VALUE", text="A variable."),
        _many("-l", "--label", metavar="KEY=VALUE"),
        _many("-p", "--publish", metavar="[IP:][PORT:]PORT[/udp]",
              text="A port of this server, or a range of them; without one a random port."),
        _many("-v", "--volume", metavar="VOLUME:/PATH[:ro]",
              text="A volume by name, made if need be, or a directory of this server."),
        _many("--tmpfs", metavar="/PATH[:size=64m]"),
        click.Option(["--network"], type=click.Choice(["private", "none", "host"]),
                     default="private", help="private unless given."),
        _text("--restart", metavar="POLICY", default="no",
              text="no, on-failure[:COUNT], always or unless-stopped."),
        _text("-u", "--user", metavar="USER[:GROUP]", default=""),
        _text("-w", "--workdir", metavar="/PATH", default=""),
        _text("--entrypoint", metavar="COMMAND", text="Instead of the image's."),
        _text("-m", "--memory", metavar="SIZE", text="512m unless given."),
        _text("--cpus", metavar="NUMBER", text="The most processors, like 0.5."),
        _text("--cpuset-cpus", "cpuset", metavar="LIST", default="", text="Like 0-1,3."),
        click.Option(["--pids-limit", "pids"], type=click.IntRange(16, 1 << 22), metavar="NUMBER",
                     help="512 unless given."),
        _text("--disk", metavar="SIZE", text="The most that it writes outside of volumes."),
        _text("--shm-size", metavar="SIZE", text="Of /dev/shm; 64m unless given."),
        _many("--ulimit", metavar="NAME=SOFT[:HARD]"),
        _many("--sysctl", metavar="KEY=VALUE", text="One of the container's own namespaces."),
        _many("--device", metavar="/dev/NAME[:rwm]"),
        _text("--stop-signal", metavar="SIGNAL", text="The image's unless given."),
        click.Option(["--stop-timeout"], type=click.FloatRange(0), default=10.0,
                     metavar="SECONDS", help="Grace before SIGKILL, 10 unless given."),
        _flag("--read-only", text="Its root cannot be written to."),
        _flag("--no-init", text="Its command is process 1 itself."),
        _flag("--new-privileges", text="Let setuid programs work in it."),
        _flag("-i", "--interactive", text="Keep its standard input open for who attaches."),
        _flag("-t", "--tty", text="Give it a terminal of its own."),
    )  # fmt: skip


def _command(name: str, summary: str, act: Any, *more: click.Option) -> Command:  # noqa: ANN401
    return Command(
        f"containers:{name}",
        summary,
        Access.ROOT,
        act,
        arguments=(one_word("image", "IMAGE"), words("argv", "COMMAND", required=False)),
        options=(*more, *_options()),
        passes_through=True,
        description="Options come before the image, which is pulled when it is not here. "
        "A container lives until it is removed or the server restarts.",
    )


COMMANDS = (
    _command("create", "Make a container of an image", create),
    _command(
        "run", "Run a container of an image", run,
        _flag("-d", "--detach", text="Leave it running, and print its id."),
    ),
)  # fmt: skip
