"""What the instructions that make no files do to an image's configuration. Pure."""

from __future__ import annotations

import posixpath
import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from paas.engine.build import instructions as ins
from paas.engine.build.errors import Location
from paas.engine.config import ImageConfig

DEFAULT_SHELL = ("/bin/sh", "-c")
MAX_PORT = 65535

Expand = Callable[[str], str]
_PORT = re.compile(r"(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)


def configure(config: ImageConfig, step: ins.Instruction, expand: Expand) -> ImageConfig:
    """The configuration after `step`; one that makes only files changes nothing.

    Raises `DockerfileError` for a value that is none. CMD and ENTRYPOINT need to know
    more of the stage: see `with_command`.
    """
    change = _CHANGES.get(type(step))
    return config if change is None else change(config, step, expand)


def with_command(
    config: ImageConfig, step: ins.Cmd | ins.Entrypoint, *, cmd_is_own: bool
) -> ImageConfig:
    """The configuration after CMD or ENTRYPOINT.

    An ENTRYPOINT resets the CMD of the base image, but not one of this stage
    (`cmd_is_own`).
    """
    words = shell_form(config, step.args) if step.shell else step.args
    if isinstance(step, ins.Cmd):
        return replace(config, cmd=words)
    return replace(config, entrypoint=words or None, cmd=config.cmd if cmd_is_own else None)


def shell_form(config: ImageConfig, args: tuple[str, ...]) -> tuple[str, ...]:
    """The argv of a line for the shell."""
    return (*(config.shell or DEFAULT_SHELL), " ".join(args))


def workdir_path(config: ImageConfig, path: str) -> str:
    """Relative to the working directory so far."""
    joined = posixpath.normpath(posixpath.join("/", config.workdir, path))
    return "/" + joined.lstrip("/")


def _env(config: ImageConfig, step: ins.Env, expand: Expand) -> ImageConfig:
    return replace(config, env={**config.env, **_pairs(step.pairs, expand)})


def _label(config: ImageConfig, step: ins.Label, expand: Expand) -> ImageConfig:
    return replace(config, labels={**config.labels, **_pairs(step.pairs, expand)})


def _user(config: ImageConfig, step: ins.User, expand: Expand) -> ImageConfig:
    return replace(config, user=_not_blank(step, expand(step.user)))


def _workdir(config: ImageConfig, step: ins.Workdir, expand: Expand) -> ImageConfig:
    return replace(config, workdir=workdir_path(config, _not_blank(step, expand(step.path))))


def _volume(config: ImageConfig, step: ins.Volume, expand: Expand) -> ImageConfig:
    return replace(config, volumes=_added(config.volumes, [expand(path) for path in step.paths]))


def _expose(config: ImageConfig, step: ins.Expose, expand: Expand) -> ImageConfig:
    found = [port for text in step.ports for port in _ports(step.at, expand(text))]
    return replace(config, exposed_ports=_added(config.exposed_ports, found))


def _stop_signal(config: ImageConfig, step: ins.StopSignal, expand: Expand) -> ImageConfig:
    return replace(config, stop_signal=_signal(step.at, expand(step.signal)))


def _onbuild(config: ImageConfig, step: ins.Onbuild, _: Expand) -> ImageConfig:
    return replace(config, onbuild=(*config.onbuild, step.trigger))


def _maintainer(config: ImageConfig, step: ins.Maintainer, _: Expand) -> ImageConfig:
    return replace(config, author=step.name)


def _shell(config: ImageConfig, step: ins.Shell, _: Expand) -> ImageConfig:
    return replace(config, shell=step.args)


def _healthcheck(config: ImageConfig, step: ins.Healthcheck, _: Expand) -> ImageConfig:
    return replace(config, healthcheck=step.config)


_CHANGES: dict[type[ins.Instruction], Callable[[ImageConfig, Any, Expand], ImageConfig]] = {
    ins.Env: _env,
    ins.Label: _label,
    ins.User: _user,
    ins.Workdir: _workdir,
    ins.Volume: _volume,
    ins.Expose: _expose,
    ins.StopSignal: _stop_signal,
    ins.Onbuild: _onbuild,
    ins.Maintainer: _maintainer,
    ins.Shell: _shell,
    ins.Healthcheck: _healthcheck,
}


def _pairs(pairs: tuple[tuple[str, str], ...], expand: Expand) -> dict[str, str]:
    # All of one instruction see the values from before it (Dockerfile reference).
    return {expand(name): expand(value) for name, value in pairs}


def _not_blank(step: ins.Instruction, text: str) -> str:
    if not text:
        raise step.at.error(f"{step.keyword} is blank once its variables are expanded")
    return text


def _added(before: tuple[str, ...], more: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*before, *more)))


def _ports(at: Location, text: str) -> list[str]:
    found = []
    for word in text.split():
        match = _PORT.fullmatch(word)
        first = int(match[1]) if match else 0
        last = int(match[2] or first) if match else 0
        if match is None or not 0 < first <= last <= MAX_PORT:
            raise at.error(f"invalid containerPort: {word}", resolution="Write it as 8080/tcp.")
        protocol = (match[3] or "tcp").lower()
        found += [f"{port}/{protocol}" for port in range(first, last + 1)]
    return found


def _signal(at: Location, name: str) -> str:
    """A signal's name or number, as it is written. Raises `DockerfileError`."""
    if name.isdecimal() and 0 < int(name) < signal.NSIG:
        return name
    if "SIG" + name.upper().removeprefix("SIG") in signal.Signals.__members__:
        return name
    if re.fullmatch(r"(SIG)?RTM(IN(\+\d+)?|AX(-\d+)?)", name.upper()):
        return name
    raise at.error(f"Invalid signal: {name}")
