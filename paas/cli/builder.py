"""The commands of building: how an app's image is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click

from paas.cli.access import Access, Denied
from paas.cli.command import Command, Names
from paas.cli.options import format_option, one_word
from paas.cli.output import columns
from paas.cli.parsing import Misused
from paas.cli.session import Session
from paas.deploy.build import builder_options
from paas.deploy.tryout import Tryout
from paas.engine.build.agents import DEFAULT_ID
from paas.model.app import App
from paas.model.builder import (
    BUILD_ARGS,
    BUILD_CONFIG,
    BUILD_DIR,
    DOCKERFILE_PATH,
    KINDS,
    SELECTED,
    SSH_KEY,
    BuilderOptions,
    argument,
)
from paas.model.env import Secret
from paas.model.names import shown
from paas.model.settings import BUILD_MEMORY, BUILD_SECONDS, Setting

_ONE_VALUE: tuple[Setting[str] | Setting[int] | Setting[bool] | Setting[tuple[str, ...]], ...] = (
    SELECTED,
    BUILD_DIR,
    DOCKERFILE_PATH,
    BUILD_CONFIG,
    BUILD_MEMORY,
    BUILD_SECONDS,
    SSH_KEY,
)
ARGUMENT = "build-arg"
AGENT = "SSH_AUTH_SOCK"
"""The variable of ssh-agent(1)."""


def change(session: Session, app: App, key: str, value: str | None) -> None:
    """Change how an app is built, from its next build on; without a value as at first."""
    if key == ARGUMENT:
        _change_argument(session, app, value)
        return
    setting = next((each for each in _ONE_VALUE if each.name == key), None)
    if setting is None:
        names = sorted([ARGUMENT, *(each.name for each in _ONE_VALUE)])
        raise Misused(f"{shown(key)} is not one of {', '.join(names)}")
    on = setting.parse(value) if value is not None else None
    if setting is SSH_KEY and on and not session.permissions.may(Access.ADMIN):
        raise Denied(
            "An admin lets an app use the server's ssh key: it may open what is not the app's",
            resolution=f"Ask one for: builder:set {app.name} {key} on",
        )
    session.keep(app, key, value, "builder:set", key)
    done = f"Setting {key} to {value}" if value else f"Unsetting {key}"
    session.report.step(f"{done} for {app.name}")


def report(session: Session, app: App | None, form: str) -> None:
    """Show how one app is built, or all."""
    apps = session.apps() if app is None else [app]
    found = {each.name: builder_options(session.store.settings, each.id) for each in apps}
    if form == "json":
        session.output.json({name: _fields(options) for name, options in found.items()})
        return
    for name, options in found.items():
        session.report.result(f"{name} builder information")
        for line in columns([(f"{key}:", text) for key, text in _rows(options)]):
            session.output.line(f"       {line}")


def build(  # noqa: PLR0913  the options of the command
    session: Session,
    directory: str | None,
    file: str,
    target: str | None,
    tag: str | None,
    build_args: tuple[str, ...],
    secrets: tuple[str, ...],
    ssh: tuple[str, ...],
    *,
    no_cache: bool,
) -> None:
    """Build a directory, to try a Dockerfile out."""
    # Until a name is given to it, nothing but this command needs the image.
    session.request.channel.end_with_client()
    tryout = Tryout(
        directory=session.request.cwd / (directory or "."),
        dockerfile=DOCKERFILE_PATH.parse(file),
        target=target,
        tag=tag,
        args={name: text or "" for name, text in map(argument, build_args)},
        secrets=dict(_secret(session, text) for text in secrets),
        ssh=_agents(session, ssh),
        use_cache=not no_cache,
    )
    image = session.platform.build_directory(tryout, session.report)
    session.report.step(f"Built {tag or directory or 'the image'}")
    session.output.line(image)


def purge(session: Session, app: App) -> None:
    """Remove what builds of an app keep for the next one."""
    freed = session.platform.purge_cache(app, actor=session.actor, report=session.report)
    session.report.step(f"Purged the build cache of {app.name}: {freed / 1e6:.1f} MB")


def _secret(session: Session, text: str) -> tuple[str, Secret]:
    """`id=NAME,src=FILE`, or `id=NAME,env=VARIABLE`, as `docker build --secret` has it."""
    fields = dict(field.partition("=")[::2] for field in text.split(","))
    name = fields.get("id", "")
    if not name or fields.keys() - {"id", "src", "source", "env", "type"}:
        raise Misused(f"{shown(text)} is not of the form id=NAME,src=FILE or id=NAME,env=VARIABLE")
    if "env" in fields:
        if fields["env"] not in session.request.env:
            raise Misused(f"The variable {shown(fields['env'])} is not set")
        return name, Secret(session.request.env[fields["env"]])
    path = session.request.cwd / fields.get("src", fields.get("source", name))
    try:
        return name, Secret(path.read_text("utf-8", "surrogateescape"))
    except OSError as error:
        raise Misused(f"{path}: {error.strerror}") from None


def _agents(session: Session, texts: tuple[str, ...]) -> dict[str, Path]:
    """`ID`, or `ID=SOCKET`, as `docker build --ssh` has it."""
    found: dict[str, Path] = {}
    for text in texts:
        name, _, path = text.partition("=")
        named = path or session.request.env.get(AGENT, "")
        if not named:
            raise Misused(
                f"{AGENT} is not set: there is no ssh-agent to offer",
                resolution=f"Behind sudo, keep it: sudo --preserve-env={AGENT} paas build …",
            )
        if (name or DEFAULT_ID) in found:
            raise Misused(f"--ssh {shown(name or DEFAULT_ID)} is said twice")
        socket = session.request.cwd / named
        if not socket.exists():
            raise Misused(f"{socket}: there is neither an ssh-agent's socket nor a key")
        found[name or DEFAULT_ID] = socket
    return found


def _change_argument(session: Session, app: App, value: str | None) -> None:
    """Add one, or with a name alone remove it; without anything remove all."""
    settings = session.store.settings
    with session.store.transaction():
        before = settings.value(BUILD_ARGS, app.id)
        values = dict(before) if value else {}
        name, text = argument(value) if value else ("", None)
        values.pop(name, None)
        if text is not None:
            values[name] = text
        settings.set(app.id, BUILD_ARGS.name, json.dumps(values) if values else None)
        session.note(app, "builder:set", f"{ARGUMENT} {name}".rstrip())
    done = f"Setting {ARGUMENT} {name}" if text is not None else f"Unsetting {ARGUMENT} {name}"
    session.report.step(f"{done.rstrip()} for {app.name}")


def _rows(options: BuilderOptions) -> list[tuple[str, str]]:
    show: Callable[[object], str] = lambda value: str(value) if value else "none"  # noqa: E731
    return [
        (SELECTED.name, options.selected or f"detected ({', '.join(KINDS)})"),
        (BUILD_DIR.name, options.directory or "."),
        (DOCKERFILE_PATH.name, options.dockerfile),
        # A value may well be a token.
        (ARGUMENT, show(", ".join(options.args))),
        (BUILD_CONFIG.name, show(", ".join(options.config))),
        (BUILD_MEMORY.name, f"{options.memory_bytes >> 20} MiB"),
        (BUILD_SECONDS.name, str(options.seconds)),
        (SSH_KEY.name, "on" if options.ssh_key else "off"),
    ]


def _fields(options: BuilderOptions) -> dict[str, object]:
    return {
        SELECTED.name: options.selected,
        BUILD_DIR.name: options.directory,
        DOCKERFILE_PATH.name: options.dockerfile,
        ARGUMENT: sorted(options.args),
        BUILD_CONFIG.name: options.config,
        BUILD_MEMORY.name: options.memory_bytes,
        BUILD_SECONDS.name: options.seconds,
        SSH_KEY.name: options.ssh_key,
    }


COMMANDS = (
    Command(
        "build",
        "Build a directory of the server, to try a Dockerfile out",
        Access.ROOT,
        build,
        arguments=(one_word("directory", "DIR", required=False),),
        options=(
            click.Option(
                ["--file", "-f"],
                default=DOCKERFILE_PATH.default,
                metavar="FILE",
                help="The Dockerfile, within the directory.",
            ),
            click.Option(["--target"], metavar="STAGE", help="Build this stage, not the last."),
            click.Option(["--tag", "-t"], metavar="NAME", help="Keep the image under a name."),
            click.Option(
                ["--build-arg", "build_args"],
                multiple=True,
                metavar="NAME=VALUE",
                help="The value of an ARG.",
            ),
            click.Option(
                ["--secret", "secrets"],
                multiple=True,
                metavar="id=NAME,src=FILE",
                help="What RUN --mount=type=secret may mount.",
            ),
            click.Option(
                ["--ssh"],
                multiple=True,
                is_flag=False,
                flag_value=DEFAULT_ID,
                metavar="ID[=SOCKET]",
                help="The ssh-agent that RUN --mount=type=ssh may mount: yours unless named"
                " by its socket, or a private key.",
            ),
            click.Option(["--no-cache"], is_flag=True, help="Make every step again."),
        ),
    ),
    Command(
        "repo:purge-cache",
        "Remove what builds of an app keep for the next one",
        Access.DEPLOY,
        purge,
        Names.AN_APP,
    ),
    Command(
        "builder:set",
        "Change how an app is built",
        Access.DEPLOY,
        change,
        Names.AN_APP,
        arguments=(one_word("key", "KEY"), one_word("value", "VALUE", required=False)),
        description="KEY is selected, build-dir, dockerfile-path, build-arg (NAME=VALUE),"
        " build-config (names of config vars, or all), build-memory, build-seconds, or ssh-key:"
        " on lets RUN --mount=type=ssh sign with the server's key (git:public-key), without"
        " seeing it; an admin sets that.",
    ),
    Command(
        "builder:report",
        "Show how an app is built, or all",
        Access.VIEW,
        report,
        Names.MAYBE_AN_APP,
        options=(format_option(),),
    ),
)
