"""The commands of containers, for root: what the engine runs, whoever it is for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from paas.cli import container_new
from paas.cli import container_views as views
from paas.cli.access import Access
from paas.cli.command import Command
from paas.cli.options import format_option, one_word, words
from paas.cli.parsing import END_OF_OPTIONS, Misused
from paas.cli.run import Plain
from paas.cli.session import Session
from paas.engine.attach import DETACH_KEYS
from paas.engine.engine import Engine
from paas.engine.reference import parse_reference
from paas.engine.signals import signal_number
from paas.host.terminal import Terminal


def start(session: Session, names: tuple[str, ...]) -> None:
    """Let containers run that were created or have ended."""
    _each(session, names, lambda engine, one: engine.containers.start(one))


def stop(session: Session, names: tuple[str, ...], seconds: float | None) -> None:
    """End containers by their stop signal and grace."""
    _each(session, names, lambda engine, one: engine.containers.stop(one, seconds))


def restart(session: Session, names: tuple[str, ...], seconds: float | None) -> None:
    """Stop and start containers; what they wrote is kept."""
    _each(session, names, lambda engine, one: engine.containers.restart(one, seconds))


def kill(session: Session, names: tuple[str, ...], name: str) -> None:
    """Send a signal to containers."""
    number = signal_number(name)
    _each(session, names, lambda engine, one: engine.containers.kill(one, number))


def pause(session: Session, names: tuple[str, ...]) -> None:
    """Hold all processes of containers still."""
    _each(session, names, lambda engine, one: engine.containers.pause(one))


def unpause(session: Session, names: tuple[str, ...]) -> None:
    """Let them go on."""
    _each(session, names, lambda engine, one: engine.containers.unpause(one))


def remove(session: Session, names: tuple[str, ...]) -> None:
    """Remove containers that have ended; with `--force` in any state."""
    engine = session.platform.engine
    for one in [engine.observer.find(name) for name in names]:
        state = engine.containers.status(one).state
        if state.can_stop and not session.force:
            raise Misused(f"{one} is {state.value}; stop it first, or add --force")
        container_new.remove(engine, one)
        session.output.line(one)


def wait(session: Session, container: str) -> None:
    """Wait for an end, and print the exit code."""
    engine = session.platform.engine
    session.request.channel.end_with_client()
    status = engine.containers.wait(engine.observer.find(container))
    session.output.line("-" if status.exit_code is None else str(status.exit_code))


def exec_(session: Session, container: str, argv: tuple[str, ...], *, no_tty: bool) -> int:
    """Run a command in one; its exit code is ours."""
    engine = session.platform.engine
    command = argv[1:] if argv[0] == END_OF_OPTIONS else argv
    if not command:
        raise Misused("Please specify a command to run")
    session.request.channel.end_with_client()
    terminal = session.terminal(Plain if no_tty else Terminal)
    return engine.foreground.exec(
        engine.observer.find(container), command,
        terminal.stdin, terminal.stdout, terminal.stderr,
        terminal if terminal.isatty else None,
    )  # fmt: skip


def attach(session: Session, container: str, keys: str, *, no_stdin: bool) -> int:
    """Join the streams of one until it ends or the detach keys are typed."""
    engine = session.platform.engine
    session.request.channel.end_with_client()
    status = engine.attachments.attach(
        engine.observer.find(container), session.terminal(), keys=keys, stdin=not no_stdin
    )
    return 0 if status is None else status.exit_code or 0


def cp(session: Session, source: str, target: str, *, archive: bool) -> None:
    """Copy files between a container and this server, or as a tar on standard streams."""
    engine = session.platform.engine
    container, path = _place(source)
    other, place = _place(target)
    if bool(container) == bool(other):
        raise Misused("One of both is CONTAINER:PATH, the other a path of this server or -")
    cwd, request, transfer = session.request.cwd, session.request, engine.transfer
    if container and target == "-":
        transfer.out(engine.observer.find(container), path, request.stdout)
    elif container:
        transfer.to_host(engine.observer.find(container), path, cwd / target)
    elif source == "-":
        transfer.into(engine.observer.find(other), place, request.stdin)
    else:
        # Not a Path: it would lose the `/.` of "what is in it".
        where = source if source.startswith("/") else f"{cwd}/{source}"
        transfer.from_host(where, engine.observer.find(other), place, keep_owner=archive)


def commit(
    session: Session,
    container: str,
    ref: str | None,
    changes: tuple[str, ...],
    author: str,
    message: str,
    *,
    no_pause: bool,
) -> None:
    """Make an image of one, and print its id."""
    engine = session.platform.engine
    image = engine.commits.commit(
        engine.observer.find(container), parse_reference(ref) if ref else None,
        changes=changes, author=author, message=message, pause=not no_pause,
    )  # fmt: skip
    session.output.line(image.id)


def _each(session: Session, names: Sequence[str], act: Callable[[Engine, str], object]) -> None:
    """Find all before any is touched; print each id when it is done."""
    engine = session.platform.engine
    for one in [engine.observer.find(name) for name in names]:
        act(engine, one)
        session.output.line(one)


def _place(text: str) -> tuple[str, str]:
    """`CONTAINER:PATH`; a path of this server, which may have a colon too, has a slash first."""
    container, colon, path = text.partition(":")
    if not colon or "/" in container or text.startswith("."):
        return "", text
    return container, path


def _containers(*, required: bool = True) -> click.Argument:
    return words("names", "CONTAINER", required=required)


def _container() -> click.Argument:
    return one_word("container", "CONTAINER")


def _seconds() -> click.Option:
    return click.Option(
        ["-t", "--time", "seconds"], type=click.FloatRange(0), metavar="SECONDS",
        help="Grace before SIGKILL; its own unless given.",
    )  # fmt: skip


def _lines(default: int) -> click.Option:
    return click.Option(
        ["-n", "--num"], type=click.IntRange(0, 1_000_000), default=default, metavar="LINES",
        help=f"How many, {default} unless given.",
    )  # fmt: skip


def _tail() -> click.Option:
    return click.Option(["-t", "--tail"], is_flag=True, help="Go on showing what comes.")


def _command(name: str, summary: str, run: Callable[..., int | None], *more: click.Parameter,
             passes_through: bool = False) -> Command:  # fmt: skip
    return Command(
        f"containers:{name}",
        summary,
        Access.ROOT,
        run,
        arguments=tuple(one for one in more if isinstance(one, click.Argument)),
        options=tuple(one for one in more if isinstance(one, click.Option)),
        passes_through=passes_through,
    )


def _flag(*names: str, text: str) -> click.Option:
    return click.Option(list(names), is_flag=True, help=text)


COMMANDS = (
    *container_new.COMMANDS,
    _command(
        "list", "Show the containers that run", views.list_,
        _flag("-a", "--all", text="Those that have ended too."), format_option(),
    ),
    _command("inspect", "Show all that is known of a container, as JSON", views.inspect,
             _container()),
    _command(
        "stats", "Show what containers use", views.stats, _containers(required=False),
        _flag("--no-stream", text="Once."), format_option(),
    ),
    _command("top", "Show the processes of a container", views.top, _container(), format_option()),
    _command(
        "events", "Show what happened to containers", views.events, _lines(100), _tail(),
        format_option(),
    ),
    _command("start", "Start containers that have ended", start, _containers()),
    _command("stop", "Stop containers", stop, _containers(), _seconds()),
    _command("restart", "Stop and start containers", restart, _containers(), _seconds()),
    _command(
        "kill", "Send a signal to containers", kill, _containers(),
        click.Option(["-s", "--signal", "name"], default="KILL", metavar="SIGNAL",
                     help="SIGKILL unless given."),
    ),
    _command("pause", "Hold all processes of containers still", pause, _containers()),
    _command("unpause", "Let paused containers go on", unpause, _containers()),
    _command("wait", "Wait for a container's end and print its exit code", wait, _container()),
    _command(
        "remove", "Remove containers that have ended", remove, _containers(),
    ),
    _command("logs", "Show the output of a container", views.logs, _container(), _lines(100),
             _tail()),
    _command(
        "exec", "Run a command in a container", exec_, _container(), words("argv", "COMMAND"),
        _flag("--no-tty", text="Use pipes even on a terminal."), passes_through=True,
    ),
    _command(
        "attach", "Join the streams of a container", attach, _container(),
        click.Option(["--detach-keys", "keys"], default=DETACH_KEYS, metavar="KEYS",
                     help=f"Leave it running by these; {DETACH_KEYS} unless given."),
        _flag("--no-stdin", text="Only watch."),
    ),
    _command(
        "cp", "Copy files into or out of a container", cp, one_word("source", "SOURCE"),
        one_word("target", "TARGET"),
        _flag("-a", "--archive", text="Keep the owners of what is copied in."),
    ),
    _command("diff", "Show what a container changed in its files", views.diff, _container(),
             format_option()),
    _command(
        "commit", "Make an image of a container", commit, _container(),
        one_word("ref", "IMAGE", required=False),
        click.Option(["-c", "--change", "changes"], multiple=True, metavar="INSTRUCTION",
                     help="A Dockerfile's: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, WORKDIR…"),
        click.Option(["--author"], default="", metavar="NAME"),
        click.Option(["-m", "--message"], default="", metavar="TEXT"),
        _flag("--no-pause", text="Let it write meanwhile."),
    ),
)  # fmt: skip
