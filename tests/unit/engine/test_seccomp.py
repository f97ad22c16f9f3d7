"""The filter's document; what it does to a process is in the engine ring."""

from __future__ import annotations

from typing import Any

import pytest

from paas.engine import capabilities, seccomp

DANGEROUS = (
    "add_key", "bpf", "init_module", "io_uring_setup", "kexec_load", "keyctl", "mount",
    "open_by_handle_at", "perf_event_open", "pivot_root", "reboot", "setns", "swapon",
    "unshare", "userfaultfd",
)  # fmt: skip


def names(profile: dict[str, Any], action: str) -> set[str]:
    return {
        name
        for rule in profile["syscalls"]
        if rule["action"] == action and "args" not in rule
        for name in rule["names"]
    }


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_dangerous_calls_are_refused_by_name(machine: str) -> None:
    profile = seccomp.profile(capabilities.DEFAULT, machine)
    assert set(DANGEROUS) <= names(profile, "SCMP_ACT_ERRNO")
    assert not names(profile, "SCMP_ACT_ALLOW") & names(profile, "SCMP_ACT_ERRNO")


def test_unknown_calls_seem_not_to_exist() -> None:
    profile = seccomp.profile(capabilities.DEFAULT, "x86_64")
    assert (profile["defaultAction"], profile["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 38)
    # So that a C library falls back to clone, whose flags can be looked at.
    assert "clone3" not in names(profile, "SCMP_ACT_ALLOW") | names(profile, "SCMP_ACT_ERRNO")


def test_clone_makes_no_namespaces() -> None:
    profile = seccomp.profile(capabilities.DEFAULT, "x86_64")
    (rule,) = [rule for rule in profile["syscalls"] if rule["names"] == ["clone"]]
    assert rule["args"] == [
        {"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    ]


def test_a_capability_brings_its_calls() -> None:
    profile = seccomp.profile([*capabilities.DEFAULT, "CAP_SYS_ADMIN"], "x86_64")
    assert {"mount", "unshare", "clone", "clone3"} <= names(profile, "SCMP_ACT_ALLOW")
    assert "chroot" not in names(seccomp.profile([], "x86_64"), "SCMP_ACT_ALLOW")


def test_only_the_native_architecture() -> None:
    assert seccomp.profile([], "aarch64")["architectures"] == ["SCMP_ARCH_AARCH64"]


@pytest.mark.parametrize(
    ("number", "allowed"),
    [(0x5412, False), (0x5412 | 1 << 32, False), (0x5401, True), (0, True), (0xFFFFFFFF, True)],
)
def test_nothing_is_typed_into_a_terminal(number: int, allowed: bool) -> None:
    profile = seccomp.profile(capabilities.DEFAULT, "x86_64")
    conditions = [rule["args"][0] for rule in profile["syscalls"] if rule["names"] == ["ioctl"]]
    assert "ioctl" not in names(profile, "SCMP_ACT_ALLOW")
    # What SCMP_CMP_MASKED_EQ compares: `value` is the mask.
    assert any(number & one["value"] == one["valueTwo"] for one in conditions) is allowed
