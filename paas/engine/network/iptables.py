"""The rules of iptables as those of libnftables-json(5), which does not say what its matches ask.

Source: iptables-save(8), iptables-extensions(8).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any

TABLES = frozenset({"filter", "mangle", "raw", "security"})
"""Those of iptables that filter, or could."""

HOOKS = {"INPUT": "input", "FORWARD": "forward"}

VERDICTS: Mapping[str, dict[str, Any]] = {
    "ACCEPT": {"accept": None},
    "DROP": {"drop": None},
    "RETURN": {"return": None},
}

TOLD = frozenset({"comment", "conntrack", "multiport", "state", "tcp", "udp"})
"""Modules whose options say all of what they match."""

SILENT = frozenset({"--comment"})
"""Options with a value that match nothing."""


def ruleset(saved: str) -> list[dict[str, Any]]:
    """Chains and rules of the text that iptables-save writes."""
    found: list[dict[str, Any]] = []
    table = ""
    chains: set[str] = set()
    for line in saved.splitlines():
        if line.startswith("*"):
            table, chains = line[1:].strip(), set()
        elif line.startswith(":"):
            name, policy, *_ = line[1:].split()
            chains.add(name)
            found.append({"chain": _chain(table, name, policy)})
        elif line.startswith("-A "):
            _, name, *words = _words(line)
            place = {"family": "ip", "table": table, "chain": name}
            found.append({"rule": {**place, "expr": list(_statements(words, chains))}})
    return found


def tagged(saved: str, tag: str) -> Iterator[list[str]]:
    """The arguments that delete each rule whose comment is `tag`."""
    table = ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith("-A "):
            words = _words(line)
            if ["--comment", tag] in (words[at : at + 2] for at in range(len(words))):
                yield ["-t", table, "-D", *words[1:]]


def _words(line: str) -> list[str]:
    # Docker has a rule for each port, and shlex takes a tenth of a millisecond for each.
    return shlex.split(line) if '"' in line or "\\" in line else line.split()


def _chain(table: str, name: str, policy: str) -> dict[str, Any]:
    chain = {"family": "ip", "table": table, "name": name}
    if policy != "-" and name in HOOKS and table != "nat":
        chain |= {"hook": HOOKS[name], "policy": policy.lower()}
    return chain


def _statements(words: list[str], chains: set[str]) -> Iterator[dict[str, Any]]:
    rest, operation = iter(words), "=="
    for word in rest:
        if word == "!":
            operation = "!="
            continue
        if word in {"-j", "-g"}:
            yield _verdict(word, next(rest), chains)
            return  # what follows are the target's own options
        if word in SILENT:
            next(rest)
        elif word in OPTIONS:
            yield _match(*OPTIONS[word](next(rest)), operation)
        elif word == "-m":
            module = next(rest)
            if module not in TOLD:
                yield _unknown(module)
        elif word.startswith("-"):
            yield _unknown(word)
        # Else the value of an option that is not known here.
        operation = "=="


def _verdict(option: str, target: str, chains: set[str]) -> dict[str, Any]:
    if target in chains:
        return {"jump" if option == "-j" else "goto": {"target": target}}
    return VERDICTS.get(target) or {"xt": {"type": "target", "name": target}}


def _match(left: dict[str, Any], right: object, operation: str) -> dict[str, Any]:
    return {"match": {"op": operation, "left": left, "right": right}}


def _unknown(name: str) -> dict[str, Any]:
    return {"xt": {"type": "match", "name": name}}


Told = tuple[dict[str, Any], object]


def _meta(key: str) -> Callable[[str], Told]:
    def read(value: str) -> Told:
        return {"meta": {"key": key}}, re.sub(r"\+$", "*", value)

    return read


def _address(field: str) -> Callable[[str], Told]:
    def read(value: str) -> Told:
        address, _, length = value.partition("/")
        # A mask with holes cannot be said: like a set that has only a name.
        known = {"prefix": {"addr": address, "len": int(length)}} if length.isdecimal() else "@"
        return {"payload": {"protocol": "ip", "field": field}}, known

    return read


def _ports(field: str) -> Callable[[str], Told]:
    def read(value: str) -> Told:
        ports = [_port(each) for each in value.split(",")]
        return {"payload": {"protocol": "tcp", "field": field}}, {"set": ports}

    return read


def _port(text: str) -> object:
    first, colon, last = text.partition(":")
    return {"range": [int(first or 0), int(last or 65535)]} if colon else int(first)


def _state(value: str) -> Told:
    return {"ct": {"key": "state"}}, value.lower().split(",")


OPTIONS: Mapping[str, Callable[[str], Told]] = {
    "-i": _meta("iifname"),
    "-o": _meta("oifname"),
    "-p": _meta("l4proto"),
    "-s": _address("saddr"),
    "-d": _address("daddr"),
    "--dport": _ports("dport"),
    "--dports": _ports("dport"),
    "--sport": _ports("sport"),
    "--sports": _ports("sport"),
    "--ctstate": _state,
    "--state": _state,
}
"""What each option matches, of those that can be followed."""
