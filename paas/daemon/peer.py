"""Who may talk to the daemon, decided by what the kernel says of the connection.

Root, and the login user on behalf of the SSH key that sshd's forced command names. The
user that parses packs, the web user and everybody else are refused here, whatever the
socket's file mode let through. What a key may *do* is the dispatcher's to decide.
"""

from __future__ import annotations

import pwd
from dataclasses import dataclass

from paas.daemon.protocol import Hello, Refused
from paas.host.sockets import Peer
from paas.model.caller import Caller
from paas.model.layout import Layout

ROOT = 0


@dataclass(frozen=True)
class Admission:
    """`login` is the uid of the login user; None where there is none, so nobody is it."""

    login: int | None

    @classmethod
    def of(cls, layout: Layout) -> Admission:
        """Look the login user up, once: a user made later counts from the next start."""
        try:
            return cls(pwd.getpwnam(layout.user).pw_uid)
        except KeyError:
            return cls(None)

    def check(self, peer: Peer) -> None:
        """Raises `Refused` for a peer that may not ask for anything."""
        if peer.uid not in (ROOT, self.login):
            raise Refused(
                f"User {_name(peer.uid)} may not talk to paasd",
                resolution="Use sudo, or ssh with a key that ssh-keys:add registered.",
            )

    def caller(self, peer: Peer, hello: Hello) -> Caller:
        """On whose behalf the peer asks. Root may speak for a key. Raises `Refused`."""
        self.check(peer)
        if hello.key is not None:
            return Caller("key", hello.key)
        if peer.uid == ROOT:
            return Caller("root", _name(ROOT))
        raise Refused(
            f"User {_name(peer.uid)} speaks for SSH keys only",
            resolution="Log in over ssh with a key that ssh-keys:add registered.",
        )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
