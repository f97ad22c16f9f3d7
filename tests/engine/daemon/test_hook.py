"""git's pre-receive hook: real pushes into a bare repository, the deploy's end played here."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from paas.host.sockets import Frame, Receiver, send
from tests.engine.daemon.daemon import CHECKOUT
from tests.push.outcome import eventually

GIT = {
    "PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@x", "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@x",
}  # fmt: skip

Answer = Callable[[socket.socket, Frame], None]


class Repository:
    def __init__(self, folder: Path) -> None:
        self.bare, self.work = folder / "bare.git", folder / "work"
        self.client: subprocess.Popen[bytes] | None = None
        self.git("init", "-q", "--bare", str(self.bare), cwd=folder)
        for setting in (f"core.hooksPath={CHECKOUT}/hooks", "receive.advertisePushOptions=true"):
            self.git("config", *setting.split("="), cwd=self.bare)
        self.git("init", "-q", "-b", "main", str(self.work), cwd=folder)
        self.git("commit", "-q", "--allow-empty", "-m", "one")

    def git(self, *words: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *words], cwd=cwd or self.work, env=GIT, check=True, capture_output=True
        )
        return done.stdout.decode().strip()

    def push(self, answer: Answer, *words: str) -> tuple[int, str]:
        """Push, and be the other end of the hook's descriptor."""
        ours, hooks = socket.socketpair()
        with ours:
            with hooks:
                git = subprocess.Popen(
                    ["git", "push", *words, str(self.bare), "main"], cwd=self.work,
                    env=GIT | {"PAAS_HOOK_FD": str(hooks.fileno())}, pass_fds=(hooks.fileno(),),
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                )  # fmt: skip
            self.client = git
            with git:
                frame = Receiver(ours).receive(20)
                answer(ours, frame)
                for descriptor in frame.descriptors:
                    os.close(descriptor)
                ours.close()
                said, _ = git.communicate(timeout=100)
        return git.returncode, said.decode()

    @property
    def refs(self) -> str:
        return subprocess.run(
            ["git", "for-each-ref"], cwd=self.bare, env=GIT, check=True, capture_output=True
        ).stdout.decode()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_a_deploy_that_fails_rejects_the_push(repository: Repository) -> None:
    def fail(connection: socket.socket, frame: Frame) -> None:
        os.write(frame.descriptors[0], b" !     it does not build\n")
        send(connection, {"exit": 1})

    code, said = repository.push(fail)
    assert code == 1
    assert "remote:  !     it does not build" in said
    assert "[remote rejected] main -> main (pre-receive hook declined)" in said
    assert repository.refs == ""


def test_a_deploy_that_vanishes_rejects_the_push(repository: Repository) -> None:
    code, said = repository.push(lambda connection, _: connection.close())
    assert code == 1
    assert "The deploy was cut off" in said
    assert "Traceback" not in said
    assert repository.refs == ""


def test_an_answer_cut_short_rejects_the_push(repository: Repository) -> None:
    code, _ = repository.push(lambda connection, _: connection.sendall(b"\0\0"))
    assert code == 1


def test_without_the_descriptor_nothing_is_accepted(repository: Repository) -> None:
    done = subprocess.run(
        ["git", "push", str(repository.bare), "main"],
        cwd=repository.work, env=GIT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "pushed to through paas only" in done.stderr


def test_the_deploy_learns_refs_quarantine_and_options(repository: Repository) -> None:
    head = repository.git("rev-parse", "HEAD")
    seen: list[Frame] = []

    def accept(connection: socket.socket, frame: Frame) -> None:
        seen.append(frame)
        env = frame.value["env"]
        assert isinstance(env, dict)
        assert Path(env["GIT_QUARANTINE_PATH"]).parent == repository.bare / "objects"
        objects = Path(env["GIT_QUARANTINE_PATH"]) / head[:2] / head[2:]
        assert objects.exists()  # already now, readable while git waits
        send(connection, {"exit": 0})

    assert repository.push(accept, "-o", "no-cache", "-o", "a b")[0] == 0
    assert seen[0].value["refs"] == [["0" * 40, head, "refs/heads/main"]]
    env = seen[0].value["env"]
    assert isinstance(env, dict)
    assert env.keys() == {
        "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH",
        "GIT_PUSH_OPTION_COUNT", "GIT_PUSH_OPTION_0", "GIT_PUSH_OPTION_1",
    }  # fmt: skip
    assert env["GIT_PUSH_OPTION_1"] == "a b"
    assert head in repository.refs


def test_a_lost_reader_does_not_stop_the_update(repository: Repository) -> None:
    """The person is gone, the deploy went through: git still moves the ref."""
    head = repository.git("rev-parse", "HEAD")

    def accept_alone(connection: socket.socket, frame: Frame) -> None:
        assert repository.client is not None
        repository.client.kill()
        repository.client.wait()
        os.write(frame.descriptors[0], b"-----> Nobody reads this\n")
        send(connection, {"exit": 0})

    repository.push(accept_alone)
    eventually(lambda: head in repository.refs)
