"""`paas` on a developer's machine: the same commands, over ssh.

Server and app come from the git remote called `paas` (`paas@host:app`), or from PAAS_HOST
and `--app`. Part of the thin client: standard library only, run by `client.py`.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess  # noqa: TID251  a laptop has this file, not the program it belongs to
import sys

USER = "paas"
NOWHERE = 20
"""Exit code when no server is known, as the clients of Dokku have it."""

_URL = re.compile(
    r"ssh://(?:(?P<user>[^@/]+)@)?(?P<host>\[[^]]+\]|[^:/]+)(?::(?P<port>\d+))?/(?P<app>.+)"
)
_SCP = re.compile(r"(?:(?P<user>[^@/:]+)@)?(?P<host>\[[^]]+\]|[^:/]+):(?P<app>[^/].*|/.+)")
_HOST = re.compile(r"(?:(?P<user>[^@/:]+)@)?(?P<host>\[[^]]+\]|[^:/]+)(?::(?P<port>\d+))?")


class Unknown(Exception):
    """The server cannot be told."""


class Destination:
    """Where a command goes: `host` is `user@host`."""

    def __init__(self, host: str, port: str | None, app: str | None) -> None:
        self.host = host
        self.port = port
        self.app = app


def main(words: list[str]) -> int:
    """Become ssh. Returns only when that cannot be."""
    try:
        destination = find_destination()
        if own(words):
            done = laptop(destination, words)
            if done is not None:
                return done
        argv = ssh_argv(destination, words)
        os.execvp(argv[0], argv)  # noqa: S606  argv, no shell: what is wanted
    except Unknown as problem:
        code, text = NOWHERE, str(problem)
    except FileNotFoundError:
        code, text = 1, "ssh is not installed"
    except OSError as error:
        # A kernel takes 128 KiB in one argument, and ssh sends the command as one.
        code, text = 1, f"The command cannot be given to ssh: {error.strerror}\n"
        text += "A long value goes by standard input: paas config:set KEY=- < file"
    sys.stderr.write("".join(f" !     {line}\n" for line in text.splitlines()))
    return code


def own(words: list[str]) -> bool:
    """Whether this machine has a part in the command."""
    return bool({"cp", "forward"} & set(words[: len(flags_of(words)) + 1]))


def flags_of(words: list[str]) -> list[str]:
    """The flags before the command."""
    found = 0
    while found < len(words) and words[found].startswith("-"):
        found += 2 if words[found] == "--app" else 1
    return words[:found]


def laptop(destination: Destination, words: list[str]) -> int | None:
    """`laptop.py`, beside this file; None when ssh alone does it."""
    import runpy  # nobody else waits for it

    beside = os.path.join(os.path.dirname(os.path.realpath(__file__)), "laptop.py")  # noqa: PTH118, PTH120
    flags = flags_of(words)
    code: int | None = runpy.run_path(beside)["main"](
        words[len(flags) :], flags, lambda rest: ssh_argv(destination, rest, terminal=False)
    )
    return code


def find_destination() -> Destination:
    """From the environment, and what that leaves open from git. Raises `Unknown`."""
    name = os.environ.get("PAAS_GIT_REMOTE") or "paas"
    host = os.environ.get("PAAS_HOST")
    url = remote_url(name)
    if host:
        found = parse_host(host)
        found.app = parse_remote(url).app if url else None
    elif url:
        found = parse_remote(url)
    else:
        raise Unknown(
            f"No server: there is no paas on this machine, and no git remote called {name} here\n"
            f"Add one: git remote add {name} {USER}@HOST:APP\n"
            "Or name the server: PAAS_HOST=HOST paas …"
        )
    found.port = os.environ.get("PAAS_PORT") or found.port
    found.app = os.environ.get("PAAS_APP") or found.app
    return found


def remote_url(name: str) -> str | None:
    """The URL of a git remote of the work tree we are in."""
    try:
        done = subprocess.run(
            ["git", "remote", "get-url", "--", name], capture_output=True, check=False
        )
    except FileNotFoundError:
        return None
    return os.fsdecode(done.stdout).strip() or None if done.returncode == 0 else None


def parse_remote(url: str) -> Destination:
    """`paas@host:app` or `ssh://paas@host:port/app`. Raises `Unknown`."""
    match = _URL.fullmatch(url) or (None if "://" in url else _SCP.fullmatch(url))
    if match is None:
        raise Unknown(f"The git remote {url} is not of the form {USER}@HOST:APP")
    groups = match.groupdict()
    app = groups["app"].strip("/")
    return Destination(
        _login(groups), groups.get("port"), app[:-4] if app.endswith(".git") else app
    )


def parse_host(text: str) -> Destination:
    """`host`, `user@host` or either with `:port`. Raises `Unknown`."""
    match = _HOST.fullmatch(text)
    if match is None:
        raise Unknown(f"PAAS_HOST={text} is not of the form HOST or {USER}@HOST")
    groups = match.groupdict()
    return Destination(_login(groups), groups["port"], None)


def _login(groups: dict[str, str | None]) -> str:
    return f"{groups['user'] or USER}@{(groups['host'] or '').strip('[]')}"


def ssh_argv(
    destination: Destination, words: list[str], *, terminal: bool | None = None
) -> list[str]:
    """The ssh that runs a command there: with a terminal exactly when we have one, unless said."""
    argv = ["ssh"]
    if terminal if terminal is not None else os.isatty(0) and os.isatty(1):
        argv += ["-t", "-o", "LogLevel=ERROR"]  # without "Connection to … closed."
    if destination.port:
        argv += ["-p", destination.port]
    # First, so that an --app of the user's comes later and wins.
    named = ["--app", destination.app] if destination.app and words else []
    return [*argv, "--", destination.host, shlex.join([*named, *words])]
