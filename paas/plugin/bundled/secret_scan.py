"""Refuses a push that has credentials in it: keys and tokens by which they are known.

A file that is meant to have some (of a test) is named in `.secret-scan-ignore`, one pattern
a line, as of fnmatch(3).
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from fnmatch import fnmatchcase

from paas.engine.build.context import Context
from paas.model.names import shown
from paas.plugin.hookspecs import Answer, Call

IGNORE = ".secret-scan-ignore"
MAX_BYTES = 1 << 20
"""Of a file: credentials are in small ones."""

MOST = 10
"""Findings that are told."""

TOKENS = {
    "a private key": rb"-----BEGIN (?:[A-Z]{1,10} ){0,3}PRIVATE KEY-----",
    "an AWS access key": rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a GitHub token": rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{82})\b",
    "a GitLab token": rb"\bglpat-[A-Za-z0-9_-]{20}\b",
    "a Slack token": rb"\bxox[abpr]-[0-9]{10,13}-[0-9A-Za-z-]{10,80}",
    "a live Stripe key": rb"\b[rs]k_live_[0-9a-zA-Z]{24}",
    "an npm token": rb"\bnpm_[A-Za-z0-9]{36}\b",
    "a PyPI token": rb"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50}",
}
"""None of these can be matched in more than linear time: repetitions are bounded."""

_ANY = re.compile(b"|".join(b"(%s)" % pattern for pattern in TOKENS.values()))
_KINDS = tuple(TOKENS)


def pre_build(call: Call) -> Answer | None:
    """Look through the pushed files."""
    if call.source is None:
        return None
    found = [f"{shown(path)} has {kind}" for path, kind in findings(call.source)]
    if not found:
        return None
    rest = [f"and {len(found) - MOST} more"] if found[MOST:] else []
    remedy = f"Remove them from the commit, and replace them: or name the files in {IGNORE}."
    return Answer(refuse="\n".join(["there are credentials in it", *found[:MOST], *rest, remedy]))


def findings(source: Context) -> Iterator[tuple[str, str]]:
    """Each file with credentials, and what they are."""
    ignored = _ignored(source)
    for path, entry in source.entries().items():
        if not stat.S_ISREG(entry.mode) or any(fnmatchcase(path, one) for one in ignored):
            continue
        data = source.read(path)
        match = _ANY.search(data) if len(data) <= MAX_BYTES else None
        if match is not None:
            yield path, _KINDS[(match.lastindex or 1) - 1]


def _ignored(source: Context) -> list[str]:
    entry = source.entries().get(IGNORE)
    if entry is None or not stat.S_ISREG(entry.mode):
        return []
    lines = source.read(IGNORE).decode("utf-8", "replace").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
