"""A key opens the thin client and nothing else, however it is spelled."""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path

import pytest

from paas.daemon.authorized_keys import (
    CLIENT,
    authorized_line,
    mend_authorized_keys,
    write_authorized_keys,
)
from paas.model.key import Key, PublicKey
from paas.model.layout import Layout
from paas.store.keys import Keys
from paas.store.store import Store

BODY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO7wqJ"
PUBLIC_KEY = PublicKey(*BODY.split(), "", "SHA256:x")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-ed25519",
        f"{BODY}\nssh-rsa AAAA",
        f'command="sh" {BODY}',
        f"{BODY} a comment",
        f"no-pty,{BODY}",
    ],
)
def test_what_could_be_another_line_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match="cannot be a line"):
        authorized_line(Layout(Path("/r")), Key("ann", "ann", text, "", 0))


def test_a_name_with_a_newline_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be in"):
        authorized_line(Layout(Path("/r")), Key("a\nb", "ann", BODY, "", 0))


def test_a_key_may_run_the_client_and_nothing_else() -> None:
    assert authorized_line(Layout(Path("/r")), Key("ann", "ann", BODY, "", 0)) == (
        f'restrict,pty,command="exec /usr/bin/python3 -I -S {CLIENT} --root /r --key ann" {BODY}'
    )


def test_quotes_are_for_the_shell_and_for_sshd() -> None:
    line = authorized_line(Layout(Path("/a b")), Key('q"$x', "ann", BODY, "", 0))
    assert line.endswith(f"""--root '/a b' --key 'q\\"$x'" {BODY}""")


def test_the_file_is_for_sshd_to_read_and_root_to_write(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.ssh.mkdir()
    for keys in ([Key("ann", "ann", BODY, "", 0), Key("bob", "ann", BODY + "x", "", 0)], []):
        write_authorized_keys(layout, keys)
        path = layout.ssh / "authorized_keys"
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        assert len(path.read_text().splitlines()) == 1 + len(keys)
        assert [entry.name for entry in layout.ssh.iterdir()] == ["authorized_keys"]


def test_a_file_that_another_program_wrote_is_put_right(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.ssh.mkdir()
    with contextlib.closing(Store(layout)) as store:
        store.users.add("ann", admin=True)
        store.keys.add("ann", PUBLIC_KEY)
        for wrong in (None, "ssh-ed25519 AAAA of nobody\n"):
            path = layout.ssh / "authorized_keys"
            path.unlink(missing_ok=True) if wrong is None else path.write_text(wrong)
            mend_authorized_keys(layout, store)
            assert path.read_text().endswith(f" {BODY}\n")


def test_what_a_command_changes_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that was removed would open something again until the next time."""
    layout = Layout(tmp_path)
    layout.ssh.mkdir()
    look = Keys.list
    with contextlib.closing(Store(layout)) as store, contextlib.closing(Store(layout)) as other:
        store.users.add("ann", admin=True)
        store.keys.add("ann", PUBLIC_KEY)
        write_authorized_keys(layout, store.keys.list())

        def look_and_be_late(keys: Keys) -> list[Key]:
            monkeypatch.setattr(Keys, "list", look)
            found = look(keys)
            with other.transaction():
                other.keys.remove("ann")
                write_authorized_keys(layout, other.keys.list())
            return found

        monkeypatch.setattr(Keys, "list", look_and_be_late)
        mend_authorized_keys(layout, store)
    assert BODY not in (layout.ssh / "authorized_keys").read_text()
