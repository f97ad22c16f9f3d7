"""The platform that commands call, the real one and the recording one take the same."""

from __future__ import annotations

import inspect

import pytest

from paas.cli.platform import Platform
from paas.deploy import api
from tests.unit.cli.caller import Recorder, Status

METHODS = [name for name, _ in inspect.getmembers(Platform, inspect.isfunction) if name[0] != "_"]


def parameters(kind: type, name: str) -> list[tuple[str, str]]:
    """Names and kinds, in order."""
    signature = inspect.signature(getattr(kind, name))
    return [(each.name, each.kind.name) for each in signature.parameters.values()]


@pytest.mark.parametrize("implementation", [api.Platform, Recorder])
@pytest.mark.parametrize("name", METHODS)
def test_a_method_takes_what_commands_give(implementation: type, name: str) -> None:
    assert parameters(implementation, name) == parameters(Platform, name)


def test_a_status_has_the_same_fields() -> None:
    assert list(inspect.signature(Status).parameters) == list(
        inspect.signature(api.ProcessStatus).parameters
    )
