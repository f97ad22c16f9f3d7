"""Stages that need nothing of each other are built at the same time."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from paas.engine.build.errors import StepFailed
from paas.engine.build.rules import Offer
from tests.engine.build.rig import Rig, Told

FROM = "FROM paas/test-base:1"
SHARED = "--mount=type=cache,target=/m"
WAIT = "touch /m/{me}; i=0; until [ -e /m/{you} ] || [ $i = 600 ]; do"
WAIT += " i=$((i+1)); sleep 0.1; done; test -e /m/{you}"
MEET = f"RUN {SHARED} {WAIT}\n"


def test_two_stages_meet(rig: Rig) -> None:
    """Each waits for what the other does: one after the other, neither would end well."""
    told = Told()
    image = rig.build(
        f"{FROM} AS one\n{MEET.format(me='a', you='b')}RUN echo first; echo 1 > /1\n"
        f"{FROM} AS two\n{MEET.format(me='b', you='a')}RUN echo -n second; echo 2 > /2\n"
        f"{FROM}\nCOPY --from=one /1 /\nCOPY --from=two /2 /\n",
        {},
        told,
        offer=Offer(scope="app-meet"),
    )
    assert {"1", "2"} <= rig.look_all(image).keys()
    assert sorted(told.raw.splitlines()) == [b"[one] first", b"[two] second"]
    assert [line.split()[1] for line in told.details] == [f"{n}/9" for n in range(1, 10)] or (
        sorted(int(line.split()[1].split("/")[0]) for line in told.details) == list(range(1, 10))
    )
    assert rig.leftovers() == []


def test_one_that_fails_ends_the_other(rig: Rig) -> None:
    begun = time.monotonic()
    with pytest.raises(StepFailed) as caught:
        rig.build(
            f"{FROM} AS slow\nRUN sleep 300\n{FROM} AS bad\nRUN sleep 0.3; exit 7\n"
            f"{FROM}\nCOPY --from=slow /etc /e\nCOPY --from=bad /etc /f\n"
        )
    assert "Dockerfile:4" in caught.value.brief
    assert "exit code 7" in caught.value.brief
    assert time.monotonic() - begun < 100
    assert rig.leftovers() == []
    assert [thread.name for thread in threading.enumerate() if "stage" in thread.name] == []


def test_a_client_that_is_gone_ends_all(rig: Rig) -> None:
    class Gone(Exception):
        pass

    def gone(*_: object) -> None:
        raise Gone

    before = signal.signal(signal.SIGALRM, gone)
    try:
        signal.setitimer(signal.ITIMER_REAL, 1.0)
        begun = time.monotonic()
        with pytest.raises(Gone):
            rig.build(
                f"{FROM} AS one\nRUN sleep 300\n{FROM} AS two\nRUN sleep 301\n"
                f"{FROM}\nCOPY --from=one /etc /e\nCOPY --from=two /etc /f\n"
            )
        assert time.monotonic() - begun < 100
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert rig.leftovers() == []


def test_the_same_step_in_two_stages_is_made_once(rig: Rig) -> None:
    step = "RUN sleep 0.3; cat /proc/sys/kernel/random/uuid > /same\n"
    image = rig.build(
        f"{FROM} AS one\n{step}{FROM} AS two\n{step}"
        "FROM scratch\nCOPY --from=one /same /1\nCOPY --from=two /same /2\n"
    )
    found = rig.look_all(image)
    assert found["1"].content == found["2"].content


def in_children(rig: Rig, dockerfiles: list[str], scope: str) -> list[bytes]:
    """What builds in processes of their own print, as pushes are."""
    readers, children = [], []
    for dockerfile in dockerfiles:
        context = rig.context({"Dockerfile": dockerfile})
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            code, told = 1, Told()
            try:
                rig.builder.build(context, report=told, offer=Offer(scope=scope))
                os.write(writer, told.raw)
                code = 0
            finally:
                os._exit(code)
        os.close(writer)
        readers.append(reader)
        children.append(child)
    outputs = []
    for reader, child in zip(readers, children, strict=True):
        with os.fdopen(reader, "rb") as file:
            outputs.append(file.read())
        assert os.waitpid(child, 0)[1] == 0
    return outputs


def test_sharing_of_a_cache_between_builds_at_once(rig: Rig) -> None:
    def step(sharing: str, word: str, meanwhile: str) -> str:
        return (
            f"{FROM}\nRUN {SHARED} --mount=type=cache,target=/{sharing},sharing={sharing}"
            f" echo {word} >> /{sharing}/log; {meanwhile} && cat /{sharing}/log\n"
        )

    meeting = [step("private", me, WAIT.format(me=me, you=you)) for me, you in ("ab", "ba")]
    private = in_children(rig, meeting, "app-private")
    assert sorted(private) == [b"a\n", b"b\n"]
    locked = in_children(rig, [step("locked", word, "sleep 0.5") for word in "ab"], "app-locked")
    assert set(locked) in ({b"a\n", b"a\nb\n"}, {b"b\n", b"b\na\n"})
