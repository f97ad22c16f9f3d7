"""What a plugin may touch, one line each: what is shown before it is enabled, and kept.

An update whose lines are not all among those that were granted waits until it is enabled
again. So everything that gives a plugin more must change a line here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from paas.model.limits import MIB
from paas.plugin.declaration import MEMORY, SECONDS, Declaration, HookRule

VETO = "and may refuse"
"""How the line of a hook ends that can keep something from happening."""


def grants(found: Declaration) -> tuple[str, ...]:
    """The lines, in the order in which they matter."""
    return tuple(dict.fromkeys((*_permissions(found), *_deeds(found))))


def more(wanted: Sequence[str], granted: Sequence[str]) -> list[str]:
    """Those of `wanted` that nobody granted."""
    return [line for line in wanted if line not in granted]


def _permissions(found: Declaration) -> Iterator[str]:
    may = found.permissions
    if found.python:
        yield "runs inside paas itself, which it came with"
    if may.network:
        yield "reaches the internet"
    if may.source:
        yield "reads the files of every push"
    for key in may.config:
        yield f"reads {_vars(key)} of every app"
    for key in may.set_config:
        yield f"sets {_vars(key)} of every app"
    if found.memory > MEMORY:
        yield f"takes up to {found.memory // MIB} MiB of memory when it runs"


def _deeds(found: Declaration) -> Iterator[str]:
    for rule in found.hooks:
        yield _hook(rule)
    for command in found.commands:
        where = "" if command.app == "none" else " of an app"
        yield f"adds the command {found.name}:{command.name}, for whoever is {command.role}{where}"
    for each in found.proxy:
        directives = " ".join(each.directives.split())
        yield f"adds the proxy setting {each.name} ({each.kind}): {directives}"
    if found.builder:
        yield f"builds apps that have {' or '.join(found.builder.files)}"
    if found.service is not None:
        service = found.service
        yield f"adds the service {service.name}, and knows its data: port {service.port}"


def _hook(rule: HookRule) -> str:
    name = rule.hook.name
    slow = f", for up to {rule.program.seconds} s" if rule.program.seconds > SECONDS else ""
    if not rule.hook.asked:
        return f"is told by {name}"
    how = VETO if rule.veto else "and cannot refuse"
    return f"is asked by {name}{slow}, {how}"


def _vars(pattern: str) -> str:
    if pattern == "*":
        return "all config vars"
    return f"the config vars {pattern}" if pattern.endswith("*") else f"the config var {pattern}"
