"""What is sealed opens with its key, at its place, and no other way."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.host.secrets import KeyLost, Tampered, Vault


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    vault = Vault(tmp_path / "key")
    vault.create()
    return vault


def test_the_key_is_roots_alone_and_made_once(tmp_path: Path, vault: Vault) -> None:
    key = (tmp_path / "key").read_bytes()
    vault.create()
    assert (tmp_path / "key").read_bytes() == key
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_a_lost_key_is_named_and_never_replaced(tmp_path: Path, vault: Vault) -> None:
    sealed = vault.seal("secret", "a")
    (tmp_path / "key").unlink()
    with pytest.raises(KeyLost, match="is not there"):
        Vault(tmp_path / "key").open(sealed, "a")
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(KeyLost, match="has 5 bytes"):
        Vault(tmp_path / "key").seal("secret", "a")


def test_a_value_opens_at_its_own_place_only(vault: Vault) -> None:
    sealed = vault.seal("secret", "config/1/A")
    assert vault.open(sealed, "config/1/A") == "secret"
    for other in (sealed[:-4] + "AAA=", "aes256gcm:", "secret", sealed.replace("g", "h")):
        with pytest.raises(Tampered, match="config/1/A"):
            vault.open(other, "config/1/A")
    with pytest.raises(Tampered, match="config/2/A"):
        vault.open(sealed, "config/2/A")


def test_the_same_text_is_sealed_differently_each_time(vault: Vault) -> None:
    assert vault.seal("same", "a") != vault.seal("same", "a")


@given(text=st.text(st.characters(codec="utf-8")), place=st.text(st.characters(codec="utf-8")))
def test_any_text_comes_back(
    tmp_path_factory: pytest.TempPathFactory, text: str, place: str
) -> None:
    vault = Vault(tmp_path_factory.getbasetemp() / "any-key")
    vault.create()
    assert vault.open(vault.seal(text, place), place) == text
