"""`git push`: git receives as its own user, the hook asks over a socketpair, we deploy.

The command child runs `git receive-pack` on the caller's descriptors. Its pre-receive
hook sends one frame (refs, quarantine, its standard error) over the descriptor that it
inherited and waits for the exit code: the socketpair already carries who and which app.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from paas.deploy.announce import announce
from paas.deploy.attempt import Attempt, Attempts
from paas.deploy.build import builder_options, read_source
from paas.deploy.lock import refuse_locked
from paas.deploy.objects import keep_objects
from paas.deploy.output import Output
from paas.deploy.pipeline import BUILD, Pipeline
from paas.deploy.refs import Push, RefUpdate, Target, deployable
from paas.deploy.repository import Repository
from paas.deploy.services_addons import Addons
from paas.deploy.timeline import Timeline
from paas.deploy.tree import GitContext, Objects, PushRefused, peel
from paas.deploy.turns import Turns
from paas.deploy.upload import Upload
from paas.host.sockets import Frame, PeerGone, send
from paas.model.app import App
from paas.model.report import Lines, Report
from paas.model.request import Channel
from paas.model.settings import DEPLOY_BRANCH

HOOK_FD = "PAAS_HOOK_FD"
LOG = "output.log"

NO_TEST = "no-test"
"""The push option that leaves the tests out: `git push -o no-test`."""

PUSH_OPTION = "GIT_PUSH_OPTION_"
"""What the environment of a hook has the options under: COUNT, 0, 1… (githooks(5))."""

ErrorLines = Callable[[BaseException, Report], int]
"""Tells the user of an error in the output grammar and gives the exit code (paas.cli)."""


@dataclass(frozen=True)
class Pushed:
    """What the hook told."""

    updates: Sequence[RefUpdate]
    environment: Mapping[str, str]
    stderr: int

    @classmethod
    def parse(cls, frame: Frame) -> Pushed:
        """Raises `PushRefused` when the frame is not that of our hook."""
        refs, environment = frame.value.get("refs"), frame.value.get("env")
        if not isinstance(refs, list) or not isinstance(environment, dict) or not frame.descriptors:
            raise PushRefused("The pre-receive hook did not say what was pushed")
        return cls(
            [RefUpdate(*map(str, ref)) for ref in refs],
            {str(key): str(value) for key, value in environment.items()},
            frame.descriptors[0],
        )

    @property
    def options(self) -> list[str]:
        """What `git push -o` said."""
        count = self.environment.get(f"{PUSH_OPTION}COUNT", "0")
        numbers = range(int(count) if count.isdecimal() else 0)
        return [self.environment.get(f"{PUSH_OPTION}{number}", "") for number in numbers]


class ClientGone(SystemExit):
    """The connection of a push ended before its build had."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGHUP)


class Receiving:
    """Serves one `git push` of one app."""

    def __init__(
        self,
        pipeline: Pipeline,
        attempts: Attempts,
        turns: Turns,
        repository: Repository,
        addons: Addons,
        tell: ErrorLines,
    ) -> None:
        self._addons = addons
        self._pipeline = pipeline
        self._attempts = attempts
        self._turns = turns
        self._repository = repository
        self._tell = tell
        self._timeline: Timeline | None = None

    def serve(
        self, app: App, actor: str, descriptors: tuple[int, int, int], channel: Channel
    ) -> int:
        """Run git and deploy what its hook receives; the exit code is git's.

        Raises `Superseded` when a newer push of the app waits too, `AppLocked`, and
        `AppNotFound` when it was destroyed meanwhile, and `DiskFull`; all before git has said a
        word.
        """
        refuse_locked(self._pipeline.store, app)
        channel.on_close(self._client_gone)
        report = Lines(Output(descriptors[2]).write)
        since = time.strftime("%H:%M:%S UTC", time.gmtime(self._pipeline.clock.now()))
        holder = f"push of {actor} that began at {since}"
        with self._turns.take(app.id, holder, report):
            current = self._pipeline.store.apps.current(app)
            refuse_locked(self._pipeline.store, current)
            # What it is built in is asked for too: nobody uploads what cannot be built.
            self._pipeline.engine.layers.disk.admit("a push")
            return self._serve(current, actor, descriptors)

    def _client_gone(self) -> None:
        # Past its build a deploy goes on without its client, to a clean end.
        if self._timeline is None or BUILD not in self._timeline.stages:
            raise ClientGone

    def _serve(self, app: App, actor: str, descriptors: tuple[int, int, int]) -> int:
        most = self._repository.admit()
        self._repository.ensure()
        ours, hooks = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        # To git's end: behind its hook it moves the objects out of the quarantine, and what is
        # swept away in that moment would be missing from the repository.
        with self._repository.receiving():
            with closing(ours):
                try:
                    git = self._repository.serve(
                        "receive-pack",
                        descriptors,
                        environment={HOOK_FD: str(hooks.fileno())},
                        pass_fds=(hooks.fileno(),),
                        most=most,
                    )
                finally:
                    hooks.close()
                frame = Upload(ours, git, self._pipeline.clock).frame()
                if frame is not None:
                    self._answer(ours, self._deploy(app, actor, Pushed.parse(frame)))
            return git.wait()

    def _answer(self, connection: socket.socket, code: int) -> None:
        try:
            send(connection, {"exit": code})
        except PeerGone:
            # git was killed under a deploy that went on: the next push brings the ref.
            return

    def _deploy(self, app: App, actor: str, pushed: Pushed) -> int:
        try:
            return self._deploy_reported(app, actor, pushed)
        finally:
            os.close(pushed.stderr)

    def _deploy_reported(self, app: App, actor: str, pushed: Pushed) -> int:
        output = Output(pushed.stderr)
        report = Lines(output.write)
        try:
            push = deployable(pushed.updates, self._target(app))
            objects = self._incoming(pushed)
            commit, _ = peel(objects, push.commit)
            if self._is_live(app, commit):
                report.step(f"{commit[:8]} is already live as v{app.live}: nothing to deploy")
            else:
                with self._attempts.begin(app, actor, report, commit) as attempt:
                    self._timeline = attempt.timeline
                    output.keep(attempt.directory / LOG)
                    self._refuse_moved(push)
                    self._run(attempt, push, commit, pushed)
            self._repository.settle(push.branch)
        except BaseException as error:  # noqa: BLE001 - told to the user, who sees no other stream
            return self._tell(error, report)
        else:
            return 0
        finally:
            output.close()

    def _refuse_moved(self, push: Push) -> None:
        """Raise `PushRefused` when the branch is not where git found it, as git will do behind
        its hook: something that is no push has moved it while this one waited for its turn.
        """
        now = self._repository.at(push.branch)
        if now == push.before:
            return
        moved = f"was moved to {now[:8]}" if now else "was removed"
        raise PushRefused(
            f"{push.branch} {moved} while this push waited, so git would not take it",
            resolution="Nothing was built. See what came: git fetch paas; then push again,"
            " with --force to replace it.",
        )

    def _target(self, app: App) -> Target:
        settings = self._pipeline.store.settings
        return Target(
            app=app.name,
            branch=settings.deploy_branch(app.id),
            ssh=f"ssh {self._pipeline.layout.user}@server",
            stays=app.deployed or settings.get(app.id, DEPLOY_BRANCH.name) is not None,
        )

    def _incoming(self, pushed: Pushed) -> Objects:
        """Where the objects are now; in the repository alone when it had them all."""
        return self._repository.objects(self._repository.quarantine(pushed.environment))

    def _is_live(self, app: App, commit: str) -> bool:
        if app.live is None or app.stopped:
            return False
        return self._pipeline.store.releases.get(app.id, app.live).commit == commit

    def _run(self, attempt: Attempt, push: Push, commit: str, pushed: Pushed) -> None:
        with attempt.timeline.stage("receive"):
            quarantine = self._repository.quarantine(pushed.environment)
            objects = (
                keep_objects(quarantine, self._repository.objects(), attempt.objects)
                if quarantine
                else self._incoming(pushed)
            )
            builder = builder_options(self._pipeline.store.settings, attempt.app.id)
            tree = GitContext(objects, commit)
            source = read_source(tree, builder, self._pipeline.builders)
        with attempt.timeline.stage("add-ons"):
            actor = attempt.deploy.actor
            addons = source.app_json.addons
            self._addons.provision(attempt.app, addons, actor=actor, report=attempt.report)
        test = NO_TEST not in pushed.options
        release = self._pipeline.push(attempt, source, push.branch, test=test)
        announce(self._pipeline, attempt, release)
