"""Which system calls a container may make: Docker's default filter, or stricter.

The lists are data, in seccomp.json. A call that is known and kept away fails with EPERM;
one this profile has never heard of fails with ENOSYS, so that a C library falls back to
the older call. Only the native architecture is let in: the 32-bit entrances of the kernel
are attack surface that servers do not need.

Sources: seccomp(2), OCI runtime-spec config-linux.md, section Seccomp.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

EPERM, ENOSYS = 1, 38

ARCHITECTURES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}

NAMESPACE_FLAGS = 0x7E020000
"""CLONE_NEW*: of clone(2)'s flags, those that make namespaces."""

AF_VSOCK = 40
"""Sockets to the hypervisor know no network namespace."""

TIOCSTI = 0x5412
"""Types into a terminal as its user would: ioctl_tty(2). No server needs it."""

PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
"""Linux, its 32-bit uname, both with UNAME26; and the question which it is."""


def profile(capabilities: Iterable[str], machine: str | None = None) -> dict[str, Any]:
    """The `linux.seccomp` of an OCI configuration.

    A call that belongs to a capability is allowed with it. `machine` is that of uname(2).
    """
    machine = machine or platform.machine()
    lists = json.loads(files("paas.engine").joinpath("seccomp.json").read_text("utf-8"))
    allowed = {*lists["allowed"], *lists["allowed_on"].get(machine, ())}
    for capability in capabilities:
        allowed.update(lists["allowed_with"].get(capability, ()))
    privileged = {name for names in lists["allowed_with"].values() for name in names}
    refused = {*lists["denied"], *privileged} - allowed - {"clone3"}
    allowed.discard("ioctl")
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": ENOSYS,
        "architectures": [ARCHITECTURES[machine]],
        "syscalls": [
            _rule(sorted(allowed), "SCMP_ACT_ALLOW"),
            _rule(sorted(refused), "SCMP_ACT_ERRNO", errno=EPERM),
            *_conditional(allowed),
        ],
    }


def _conditional(allowed: set[str]) -> list[dict[str, Any]]:
    """Calls whose arguments decide."""
    rules = [
        _rule(["personality"], "SCMP_ACT_ALLOW", [_argument(0, value, "SCMP_CMP_EQ")])
        for value in PERSONALITIES
    ]
    rules += [_rule(["ioctl"], "SCMP_ACT_ALLOW", [one]) for one in _other_than(1, TIOCSTI)]
    rules += [_rule(["socket"], "SCMP_ACT_ALLOW", [one]) for one in _other_than(0, AF_VSOCK)]
    if "unshare" in allowed:
        rules.append(_rule(["clone"], "SCMP_ACT_ALLOW"))
    else:
        # clone3 hides its flags in memory, where no filter looks: it stays ENOSYS, upon
        # which every C library calls clone.
        without_namespaces = _argument(0, NAMESPACE_FLAGS, "SCMP_CMP_MASKED_EQ") | {"valueTwo": 0}
        rules.append(_rule(["clone"], "SCMP_ACT_ALLOW", [without_namespaces]))
    return rules


def _other_than(index: int, value: int) -> list[dict[str, Any]]:
    """Conditions of which one holds unless the low half of an argument is `value`.

    The kernel takes these 32 bits alone, but a filter compares 64: "not equal" would be true
    of the same number with a bit above them. So: a bit that differs.
    """
    return [
        _argument(index, 1 << bit, "SCMP_CMP_MASKED_EQ") | {"valueTwo": ~value & (1 << bit)}
        for bit in range(32)
    ]


def _rule(
    names: list[str],
    action: str,
    arguments: list[dict[str, Any]] | None = None,
    errno: int | None = None,
) -> dict[str, Any]:
    rule: dict[str, Any] = {"names": names, "action": action}
    if arguments:
        rule["args"] = arguments
    if errno is not None:
        rule["errnoRet"] = errno
    return rule


def _argument(index: int, value: int, operator: str) -> dict[str, Any]:
    return {"index": index, "value": value, "op": operator}
