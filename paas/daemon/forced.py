"""The one parse of what somebody typed after `ssh paas@server`.

sshd hands the text over as it came; nothing else splits, expands or unquotes it. The
rules are the POSIX shell's for quotes, and no others: `$` and newlines are themselves.
"""

from __future__ import annotations

import shlex

from paas.errors import PaasError

_GIT = frozenset({"git-receive-pack", "git-upload-pack", "git-upload-archive"})


class CommandUnreadable(PaasError):
    """The text cannot be split into words."""


def parse_command(text: str) -> tuple[str, ...]:
    """The words of a command typed over ssh; nothing typed asks for help.

    Raises `CommandUnreadable`. The two spellings that git has used for its own commands
    (git-clone(1): `git-receive-pack '/app.git'`, `git receive-pack 'app'`) become one:
    `("git-receive-pack", "app")`.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise CommandUnreadable(
            f"The command cannot be read: {str(error).lower()}",
            resolution="Quote it for two shells: ssh … 'config:set app KEY=\"a value\"'",
        ) from error
    if not words:
        return ("help",)
    if words[0] == "git" and len(words) > 1:
        words[:2] = [f"git-{words[1]}"]
    if words[0] in _GIT:
        words[1:] = [app_of_path(word) for word in words[1:]]
    return tuple(words)


def app_of_path(path: str) -> str:
    """The app that a repository path means: `app`, `/app`, `app.git`, `~/app/`."""
    return path.removeprefix("/").removeprefix("~/").removesuffix("/").removesuffix(".git")
