"""Logs as conmon writes them, read while they are written and rotated."""

from __future__ import annotations

import signal

from paas.engine import logs
from tests.engine.machine import Machine
from tests.push.outcome import eventually


def test_what_it_writes_is_kept_line_by_line(machine: Machine) -> None:
    long = "x" * 20_000
    command = f"echo out; echo err >&2; echo {long}; echo; printf unfinished"
    with machine.running("sh", "-c", command) as container:
        machine.ended(container.id)
        assert container.log
        lines = logs.last(container.log, 100)
        found = sorted((line.stream, line.text) for line in lines)
        # conmon marks output without a newline at its end as a part; it is no line yet.
        assert ("stderr", "err") in found
        assert ("stdout", long) in found
        assert ("stdout", "") in found
        assert [line.at for line in lines] == sorted(line.at for line in lines)


def test_no_line_is_lost_to_rotation(machine: Machine) -> None:
    # Not before it is followed: on a busy machine it would be done by then.
    wait = "trap 'go=1' USR1; echo line 0; while [ -z \"$go\" ]; do sleep 0.05; done"
    count = "i=1; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; echo end; sleep 60"
    with machine.running("sh", "-c", f"{wait}; {count}") as container:
        assert container.log
        eventually(lambda: logs.tail(container.log, 1) == ["line 0"])
        seen: list[str] = []
        following = logs.follow(lambda: {"web.1": container.log or container.log}, 1)
        for line in following:
            seen.append(line.text)
            if len(seen) == 1:
                machine.containers.kill(container.id, signal.SIGUSR1)
            if len(seen) == 500:
                assert machine.containers.rotate_log(container.id, larger_than=10)
            if line.text == "end":
                break
        following.close()
        assert seen == [*(f"line {number}" for number in range(3000)), "end"]
        assert logs.tail(container.log, 3) == ["line 2998", "line 2999", "end"]
        assert logs.rotated(container.log).exists()
        logs.remove([container.log])


def test_no_line_is_lost_to_rotations_under_load(machine: Machine) -> None:
    """Rotated as often as it goes while two programs write as fast as they can."""
    write = "i=0; while [ $i -lt 4000 ]; do echo $0 $i; i=$((i+1)); done; echo $0 end"
    command = f"sh -c '{write}' a & sh -c '{write}' b >&2; sleep 60"
    with machine.running("sh", "-c", command) as container:
        assert container.log

        def rotate(_seconds: float) -> None:
            # Once between two looks: more than are kept are nobody's to read.
            machine.containers.rotate_log(container.id, larger_than=1000)

        seen: list[str] = []
        ends: set[str] = set()
        for line in logs.follow(lambda: {"": container.log or container.log}, 100_000, rotate):
            seen.append(line.text)
            if len(seen) % 3000 == 0:
                # Also where there is always news, and nobody ever waits.
                rotate(0)
            ends |= {line.text} & {"a end", "b end"}
            if len(ends) == 2:
                break
        for who in "ab":
            mine = [text for text in seen if text.startswith(f"{who} ")]
            assert mine == [*(f"{who} {number}" for number in range(4000)), f"{who} end"]
        assert logs.rotated(container.log).exists()
        assert not logs.rotated(container.log, 4).exists()
        logs.remove([container.log])


def test_a_small_log_is_not_rotated(machine: Machine) -> None:
    with machine.running("echo", "hi") as container:
        machine.ended(container.id)
        assert not machine.containers.rotate_log(container.id)


def test_without_a_log_output_is_dropped(machine: Machine) -> None:
    with machine.running("echo", "hi", log=None) as container:
        assert machine.ended(container.id).exit_code == 0
