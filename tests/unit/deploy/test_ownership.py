"""Containers without a row belong to the process that made them."""

from __future__ import annotations

import os
import subprocess

from paas.deploy.ownership import LABEL, orphaned, ours, start_time


def test_without_a_label_or_with_a_broken_one_a_container_is_an_orphan() -> None:
    assert orphaned({})
    assert orphaned({LABEL: "nonsense"})
    assert orphaned({LABEL: f"{os.getpid()}:"})


def test_the_containers_of_a_living_process_are_its_own() -> None:
    assert not orphaned(ours())


def test_a_reused_pid_is_another_process() -> None:
    assert orphaned({LABEL: f"{os.getpid()}:{(start_time(os.getpid()) or 0) + 1}"})


def test_a_dead_process_owns_nothing() -> None:
    child = subprocess.Popen(["sleep", "60"])
    label = {LABEL: f"{child.pid}:{start_time(child.pid)}"}
    assert not orphaned(label)
    child.kill()
    child.wait()
    assert orphaned(label)
    assert start_time(child.pid) is None
