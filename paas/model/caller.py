"""Who asks for something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Caller:
    """A peer of the daemon's socket, as the kernel and sshd vouch for it.

    `root` is uid 0 on the server; `key` is the login user on behalf of the SSH key
    called `name`; `hook` is the pre-receive hook of a push by `name`.
    """

    kind: Literal["root", "key", "hook"]
    name: str

    @property
    def is_root(self) -> bool:
        return self.kind == "root"

    @property
    def is_key(self) -> bool:
        return self.kind == "key"

    @property
    def actor(self) -> str:
        """The name that releases and events carry."""
        return self.name
