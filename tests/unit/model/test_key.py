"""SSH public keys."""

from __future__ import annotations

import base64
import struct

import pytest

from paas.model.key import InvalidKey, parse_public_key

BODY = base64.b64encode(struct.pack(">I", 11) + b"ssh-ed25519" + struct.pack(">I", 32) + b"k" * 32)
LINE = f"ssh-ed25519 {BODY.decode()}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "hello\n",
        "ssh-ed25519\n",
        "ssh-ed25519 AAAA\n",
        "ssh-ed25519 !!!!\n",
        f"ssh-rsa {BODY.decode()}\n",
        f'command="x" {LINE}\n',
        f"{LINE}\n{LINE}\n",
        f"{LINE} a\nssh-ed25519 {BODY.decode()} b\n",
        "ssh-dss AAAAB3NzaC1kc3MAAA== old\n",
        f"ssh-ed25519 {base64.b64encode(struct.pack('>I', 11) + b'ssh-ed25519').decode()}\n",
    ],
)
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidKey, match="key") as caught:
        parse_public_key(text)
    assert caught.value.resolution


def test_a_private_key_is_refused_by_name() -> None:
    with pytest.raises(InvalidKey, match="private key"):
        parse_public_key("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END…\n")


def test_what_is_written_for_sshd_has_nothing_of_the_comment() -> None:
    key = parse_public_key(f'# mine\n{LINE} ann@laptop command="x"\r\n')
    assert key.comment == 'ann@laptop command="x"'
    assert key.line == LINE
    assert key.fingerprint.startswith("SHA256:")
    assert not key.fingerprint.endswith("=")


def test_a_short_rsa_key_is_refused() -> None:
    def key(bits: int) -> str:
        modulus = (1 << bits - 1 | 1).to_bytes(bits // 8, "big")
        fields = (b"ssh-rsa", b"\x01\x00\x01", b"\0" + modulus)
        blob = b"".join(len(field).to_bytes(4, "big") + field for field in fields)
        return f"ssh-rsa {base64.b64encode(blob).decode()}"

    with pytest.raises(InvalidKey, match="shorter than 2048 bits"):
        parse_public_key(key(1024))
    assert parse_public_key(key(2048)).type == "ssh-rsa"


def test_an_rsa_key_without_its_numbers_is_none() -> None:
    blob = b"\0\0\0\7ssh-rsa\0\0\0\3\1\0\1"
    with pytest.raises(InvalidKey, match="not one SSH public key"):
        parse_public_key(f"ssh-rsa {base64.b64encode(blob).decode()}")
