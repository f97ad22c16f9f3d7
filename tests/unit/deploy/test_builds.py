"""Looking back at deploys: following one of another process, and ending it by hand."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from paas.deploy.attempt import Attempts
from paas.deploy.builds import Builds, NoSuchBuild, NotUnderWay
from paas.deploy.output import Output
from paas.deploy.receive import LOG
from paas.errors import PaasError
from paas.host.clock import SystemClock
from paas.model.app import App
from paas.model.deploy import Deploy, Stage
from paas.model.layout import Layout
from paas.model.report import Lines, Silent
from paas.store.store import Store
from tests.push.outcome import eventually


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.at(tmp_path)


@pytest.fixture
def app(layout: Layout) -> App:
    # Closed before anything is forked: a child that drops its copy of the connection takes
    # the locks and the journal of its own one along (https://sqlite.org/howtocorrupt.html).
    with closing(Store(layout)) as store:
        return store.apps.create("shop")


def builds(layout: Layout) -> Builds:
    store = Store(layout)
    return Builds(store, Attempts(layout, store, SystemClock()), SystemClock())


def end(*_: object) -> None:
    raise SystemExit(143)


def build(word: bytes) -> None:
    if word == b"!":
        raise PaasError("It does not build")


class Push:
    """A deploy in a process of its own, which goes on when it is told to."""

    def __init__(self, layout: Layout, app: App) -> None:
        self.go, theirs = os.pipe()[::-1]
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.go)
            code = 1
            try:
                signal.signal(signal.SIGTERM, end)
                code = self._deploy(layout, app, theirs)
            finally:
                os._exit(code)
        os.close(theirs)
        self.deploy: Deploy = eventually(lambda: self._begun(layout, app))

    def _begun(self, layout: Layout, app: App) -> Deploy | None:
        return next((one for one in builds(layout).list(app) if builds(layout).kept(one)), None)

    def _deploy(self, layout: Layout, app: App, go: int) -> int:
        attempts = Attempts(layout, Store(layout), SystemClock())
        output = Output(os.open(os.devnull, os.O_WRONLY))
        report = Lines(output.write)
        try:
            with attempts.begin(app, "ann", Silent(), "c" * 40) as attempt:
                output.keep(attempt.directory / LOG)
                report.step("Building")
                build(os.read(go, 1))
                report.step("Released v1")
        except PaasError as error:
            report.warn(error.brief)
            return 1
        return 0

    def over(self, word: bytes = b".") -> int:
        if word:
            os.write(self.go, word)
        os.close(self.go)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def follow(layout: Layout, deploy: Deploy) -> Callable[[], tuple[Deploy, str]]:
    """Attach from another thread; the call gives what came of it."""
    said, ended, begun = bytearray(), [], threading.Event()

    def receive(data: bytes) -> None:
        said.extend(data)
        begun.set()

    def attach() -> None:
        ended.append(builds(layout).output(deploy, receive, follow=True))

    thread = threading.Thread(target=attach)
    thread.start()
    assert begun.wait(20)

    def result() -> tuple[Deploy, str]:
        thread.join(20)
        return ended[0], said.decode()

    return result


def test_an_app_without_builds_says_so(layout: Layout, app: App) -> None:
    with pytest.raises(NoSuchBuild, match="has no builds"):
        builds(layout).find(app, None)
    with pytest.raises(NotUnderWay, match="No build of shop is under way"):
        builds(layout).cancel(app, None, "bob")


def test_a_failed_build_is_followed_to_its_last_word(layout: Layout, app: App) -> None:
    push = Push(layout, app)
    attached = follow(layout, push.deploy)
    assert push.over(b"!") == 1
    ended, said = attached()
    assert (ended.stage, ended.error) == (Stage.FAILED, "It does not build")
    assert said == "-----> Building\n !     It does not build\n"
    assert builds(layout).find(app, ended.id, with_output=True) == ended


def test_a_good_build_is_followed_to_its_end(layout: Layout, app: App) -> None:
    push = Push(layout, app)
    attached = follow(layout, push.deploy)
    assert push.over() == 0
    ended, said = attached()
    assert (ended.stage, "Released v1" in said) == (Stage.LIVE, True)


def test_a_build_is_canceled_by_somebody(layout: Layout, app: App) -> None:
    push = Push(layout, app)
    with pytest.raises(NotUnderWay, match=r"Build 99 is not under way"):
        builds(layout).cancel(app, 99, "bob")
    assert builds(layout).cancel(app, None, "bob").id == push.deploy.id
    assert os.waitstatus_to_exitcode(os.waitpid(push.pid, 0)[1]) == 1
    os.close(push.go)
    [ended] = builds(layout).list(app)
    assert (ended.stage, ended.error) == (Stage.FAILED, "The deploy was canceled by bob")
    with pytest.raises(NotUnderWay):
        builds(layout).cancel(app, push.deploy.id, "bob")


def test_a_deploy_without_output_is_passed_over(layout: Layout, app: App) -> None:
    store = Store(layout)
    with Attempts(layout, store, SystemClock()).begin(app, "ann", Silent()) as restart:
        pass
    with pytest.raises(NoSuchBuild, match=f"No output of build {restart.deploy.id} is kept"):
        builds(layout).find(app, restart.deploy.id, with_output=True)
    assert builds(layout).find(app, None).id == restart.deploy.id
