"""Users and directories, as values."""

from __future__ import annotations

from pathlib import Path

from paas.daemon.ground import accounts, directories, link_keys
from paas.model.layout import Layout


def test_only_the_login_user_has_a_shell() -> None:
    login, *others = accounts(Layout(Path("/srv/x")))
    assert login.shell == "/bin/sh"
    assert login.home == Path("/srv/x/ssh")
    assert {other.shell for other in others} == {"/usr/sbin/nologin"}


def test_names_are_of_one_paas() -> None:
    ours, theirs = (
        {account.name for account in accounts(Layout(Path(root)))} for root in ("/a", "/b")
    )
    assert not ours & theirs


def test_secrets_are_behind_directories_that_only_root_enters() -> None:
    layout = Layout(Path("/srv/x"))
    modes = dict(directories(layout))
    assert modes[layout.engine] == 0o700
    assert modes[layout.locks] == 0o700
    assert not modes[layout.root] & 0o066


def test_sshd_finds_the_keys_where_it_looks_for_them(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.ssh.mkdir()
    (layout.ssh / "authorized_keys").write_text("key")
    link_keys(layout)
    link_keys(layout)
    assert (layout.ssh / ".ssh/authorized_keys").read_text() == "key"
