"""Who may ask, by the kernel's word."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.daemon.peer import Admission
from paas.daemon.protocol import Hello, Refused
from paas.host.sockets import Peer
from paas.model.caller import Caller
from paas.model.layout import Layout

LOGIN = 61234


def hello(key: str | None) -> Hello:
    return Hello(("x",), None, key, {}, Path("/"))


@pytest.mark.parametrize("login", [LOGIN, None])
@pytest.mark.parametrize("key", [None, "ann"])
def test_another_user_is_nobody(login: int | None, key: str | None) -> None:
    with pytest.raises(Refused, match="may not talk to paasd"):
        Admission(login).caller(Peer(1, LOGIN + 1, 0), hello(key))


def test_the_login_user_speaks_for_keys_only() -> None:
    with pytest.raises(Refused, match="speaks for SSH keys only"):
        Admission(LOGIN).caller(Peer(1, LOGIN, LOGIN), hello(None))
    assert Admission(LOGIN).caller(Peer(1, LOGIN, LOGIN), hello("ann")) == Caller("key", "ann")


def test_root_is_root_unless_it_speaks_for_a_key() -> None:
    assert Admission(LOGIN).caller(Peer(1, 0, 0), hello(None)) == Caller("root", "root")
    assert Admission(LOGIN).caller(Peer(1, 0, 0), hello("ann")) == Caller("key", "ann")


def test_where_there_is_no_login_user_nobody_is_it(tmp_path: Path) -> None:
    assert Admission.of(Layout.at(tmp_path)) == Admission(None)
