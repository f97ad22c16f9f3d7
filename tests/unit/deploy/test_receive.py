"""Serving a push: what holds for as long as git runs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from paas.deploy.receive import Receiving
from paas.deploy.repository import Repository
from paas.deploy.upload import Upload
from paas.host.clock import SystemClock
from paas.host.processes import spawn
from paas.model.app import App
from paas.model.layout import Layout


class Git:
    """A git that ends without a word; while it is waited for, somebody wants to sweep."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._process = spawn(["true"])
        self.pidfd = self._process.pidfd
        self.swept: bool | None = None

    def wait(self) -> int:
        self.swept = self._repository.receiving(alone=True).try_acquire()
        return self._process.wait()


class Scripted(Repository):
    """The real locks around that git."""

    def admit(self) -> int:
        return 1

    def ensure(self) -> None:
        """It needs the git user."""

    def serve(self, *_: object, **__: object) -> Any:
        self.git = Git(self)
        return self.git


@pytest.mark.parametrize("frame", [None, "the hook was asked"])
def test_nothing_is_swept_before_git_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frame: str | None
) -> None:
    """Behind its hook git moves the objects of the push out of what a sweep removes."""
    repository = Scripted(Layout.at(tmp_path), 1)
    nothing = cast(Any, None)
    pipeline = cast(Any, SimpleNamespace(clock=SystemClock()))
    receiving = Receiving(pipeline, nothing, nothing, repository, nothing, nothing)
    monkeypatch.setattr(Upload, "frame", lambda _: frame)
    monkeypatch.setattr(receiving, "_deploy", lambda *_: 0)
    monkeypatch.setattr("paas.deploy.receive.Pushed.parse", lambda *_: None)
    assert receiving._serve(cast(App, None), "ann", (0, 1, 2)) == 0
    assert repository.git.swept is False
    assert repository.receiving(alone=True).try_acquire()
