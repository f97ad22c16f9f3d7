"""From nodes to instructions: everything that can be wrong without running anything.

Errors are worded as BuildKit words them, since that is what people search for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from paas.engine.build import instructions as ins
from paas.engine.build.durations import parse_duration
from paas.engine.build.flags import Flags, did_you_mean
from paas.engine.build.parse import Node, parse_trigger
from paas.engine.build.read_copy import read_add, read_copy
from paas.engine.build.read_run import read_run
from paas.engine.config import Healthcheck

_STAGE_NAME = re.compile(r"[a-z][a-z0-9_.-]*")
_MIN_SECONDS = 0.001


def read(node: Node, escape: str = "\\") -> ins.Instruction:
    """The instruction of a node. Raises `DockerfileError`."""
    reader = _READERS.get(node.keyword)
    if reader is None:
        hint = did_you_mean(node.keyword, [*_READERS, "ONBUILD"])
        if node.keyword != "ONBUILD":
            raise node.at.error(f"unknown instruction: {node.keyword}{hint}")
        return _onbuild(node, escape)
    return reader(node)


def read_trigger(trigger: str, escape: str, node: Node) -> ins.Instruction:
    """The instruction that ONBUILD keeps. Raises `DockerfileError`."""
    inner = parse_trigger(trigger, escape, node.at)
    if inner.keyword == "ONBUILD":
        raise node.at.error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if inner.keyword in ("FROM", "MAINTAINER"):
        raise node.at.error(f"{inner.keyword} isn't allowed as an ONBUILD trigger")
    return read(inner, escape)


def _onbuild(node: Node, escape: str) -> ins.Onbuild:
    Flags(node, {})
    if len(node.text.split()) < 2:
        raise node.at.error("ONBUILD requires at least one argument")
    # Of a trigger with a document the parser keeps only the first line.
    instruction = read_trigger(node.source, escape, node)
    return ins.Onbuild(node.at, node.text, instruction.text)


def _from(node: Node) -> ins.From:
    flags = Flags(node, {"platform": "text"})
    words, name = node.words, None
    if len(words) == 3 and words[1].lower() == "as":
        name = words[2].lower()
        if not _STAGE_NAME.fullmatch(name):
            raise node.at.error(
                f'invalid name for build stage: "{words[2]}", name can\'t start with a number'
                " or contain symbols"
            )
    elif len(words) != 1:
        raise node.at.error("FROM requires either one or three arguments")
    return ins.From(node.at, node.text, words[0], name, flags.text("platform"))


def _arg(node: Node) -> ins.Arg:
    at_least_one(node)
    Flags(node, {})
    pairs: list[tuple[str, str | None]] = []
    for word in node.words:
        name, equals, value = word.partition("=")
        if not name:
            raise node.at.error("ARG names can not be blank")
        pairs.append((name, value if equals else None))
    return ins.Arg(node.at, node.text, tuple(pairs))


def _env(node: Node) -> ins.Env:
    return ins.Env(node.at, node.text, _pairs(node))


def _label(node: Node) -> ins.Label:
    return ins.Label(node.at, node.text, _pairs(node))


def _pairs(node: Node) -> tuple[tuple[str, str], ...]:
    at_least_one(node)
    Flags(node, {})
    pairs = tuple(zip(node.words[::2], node.words[1::2], strict=True))
    if not all(name for name, _ in pairs):
        raise node.at.error(f"{node.keyword} names can not be blank")
    return pairs


def _workdir(node: Node) -> ins.Workdir:
    return ins.Workdir(node.at, node.text, exactly_one(node))


def _user(node: Node) -> ins.User:
    return ins.User(node.at, node.text, exactly_one(node))


def _stop_signal(node: Node) -> ins.StopSignal:
    return ins.StopSignal(node.at, node.text, exactly_one(node))


def _maintainer(node: Node) -> ins.Maintainer:
    return ins.Maintainer(node.at, node.text, exactly_one(node))


def _volume(node: Node) -> ins.Volume:
    at_least_one(node)
    Flags(node, {})
    paths = tuple(path.strip() for path in node.words)
    if not all(paths):
        raise node.at.error("VOLUME specified can not be an empty string")
    return ins.Volume(node.at, node.text, paths)


def _expose(node: Node) -> ins.Expose:
    at_least_one(node)
    Flags(node, {})
    return ins.Expose(node.at, node.text, node.words)


def _shell(node: Node) -> ins.Shell:
    Flags(node, {})
    at_least_one(node)
    if not node.json:
        raise node.at.error(
            "SHELL requires the arguments to be in JSON form",
            resolution='Write it as SHELL ["/bin/bash", "-c"].',
        )
    return ins.Shell(node.at, node.text, node.words)


def _entrypoint(node: Node) -> ins.Entrypoint:
    Flags(node, {})
    return ins.Entrypoint(node.at, node.text, node.words, not node.json)


def _cmd(node: Node) -> ins.Cmd:
    Flags(node, {})
    return ins.Cmd(node.at, node.text, node.words, not node.json)


def _healthcheck(node: Node) -> ins.Healthcheck:
    at_least_one(node)
    kind, words = node.words[0].upper(), node.words[1:]
    if kind == "NONE":
        if words or node.flags:
            raise node.at.error("HEALTHCHECK NONE takes no arguments")
        return ins.Healthcheck(node.at, node.text, Healthcheck(("NONE",)))
    names = ("interval", "timeout", "start-period", "start-interval", "retries")
    flags = Flags(node, dict.fromkeys(names, "text"))
    if kind != "CMD":
        raise node.at.error(f'Unknown type "{kind}" in HEALTHCHECK (try CMD)')
    if not words or not any(words):
        raise node.at.error("Missing command after HEALTHCHECK CMD")
    test = ("CMD", *words) if node.json else ("CMD-SHELL", *words)
    config = Healthcheck(
        test,
        interval=_seconds(node, flags, "interval"),
        timeout=_seconds(node, flags, "timeout"),
        start_period=_seconds(node, flags, "start-period"),
        start_interval=_seconds(node, flags, "start-interval"),
        retries=_retries(node, flags),
    )
    return ins.Healthcheck(node.at, node.text, config)


def _seconds(node: Node, flags: Flags, name: str) -> float | None:
    """A duration flag; 0 is the default, as is leaving it out."""
    value = flags.text(name)
    seconds = parse_duration(value) if value else 0.0
    if seconds is None:
        raise node.at.error(f'invalid duration "{value}"', resolution="Write it as 30s or 1m30s.")
    if seconds and seconds < _MIN_SECONDS:
        raise node.at.error(f'Interval "{name}" cannot be less than 1ms')
    return seconds or None


def _retries(node: Node, flags: Flags) -> int | None:
    value = flags.text("retries")
    if value is None:
        return None
    try:
        retries = int(value)
    except ValueError:
        raise node.at.error(f'--retries is not a number: "{value}"') from None
    if retries < 0:
        raise node.at.error(f"--retries cannot be negative ({retries})")
    return retries or None


def at_least_one(node: Node) -> None:
    """Raises `DockerfileError` for an instruction without arguments."""
    if not any(node.words):
        raise node.at.error(f"{node.keyword} requires at least one argument")


def exactly_one(node: Node) -> str:
    """The one argument. Raises `DockerfileError`."""
    Flags(node, {})
    words: Sequence[str] = node.words
    if len(words) != 1 or not words[0]:
        raise node.at.error(f"{node.keyword} requires exactly one argument")
    return words[0]


_READERS: dict[str, Callable[[Node], ins.Instruction]] = {
    "ADD": read_add,
    "ARG": _arg,
    "CMD": _cmd,
    "COPY": read_copy,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "FROM": _from,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "RUN": read_run,
    "SHELL": _shell,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
