"""HTTPS of a pushed app: certificates of one's own, as their owner brings them."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import socket
import ssl
import tarfile
from pathlib import Path

import pytest

from tests.authority import Issued, bundle, intermediate, leaf, root
from tests.push import apps
from tests.push.app import App
from tests.push.server import DOMAIN, Server


def visit(server: Server, host: str, path: str = "/") -> tuple[int, str]:
    """GET over HTTPS with a certificate that is verified."""
    connection = http.client.HTTPSConnection(host, server.https_port, timeout=10)
    context = ssl.create_default_context(cadata=root().pem.decode())
    plain = socket.create_connection(("127.0.0.1", server.https_port), 10)
    try:
        connection.sock = context.wrap_socket(plain, server_hostname=host)
        connection.request("GET", path, headers={"Host": f"{host}:{server.https_port}"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        plain.close()
        connection.close()


def shown(server: Server, host: str) -> str:
    """The fingerprint of what a client is shown, trusted or not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", server.https_port), 10) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        return hashlib.sha256(secure.getpeercert(binary_form=True) or b"").hexdigest()


def tar(issued: Issued) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name, data in (
            ("server.crt", issued.pem + intermediate().pem),
            ("server.key", issued.key),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return target.getvalue()


def report(app: App) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(app.ssh("certs:report {} --format json").ok().out)[
        app.name
    ]
    return found


@pytest.fixture(scope="module")
def secured(server: Server, live: App) -> App:
    """The module's app, with a domain for each thing that is tried."""
    live.ssh("domains:add {} a.tls.test b.tls.test").ok()
    return live


# -- failures first -------------------------------------------------------------------------


def test_what_is_wrong_with_a_certificate_is_one_sentence(secured: App) -> None:
    good, other = leaf("a.tls.test"), leaf("elsewhere.test")
    for data, words in (
        (b"", "There is no private key"),
        (good.pem + other.key, "does not belong to the certificate of a.tls.test"),
        (bundle(leaf("a.tls.test", ends=-0.5)), "expired on"),
        (bundle(other), "The certificate is for elsewhere.test, and app"),
        (b"\x1f\x8bx", "compressed data on standard input is damaged"),
    ):
        failed = secured.ssh("certs:add {}", input=data).failed()
        assert words in failed.err
        assert len(failed.err.splitlines()) <= 2
    assert report(secured) == []
    assert secured.serves("hello 1")


def test_a_file_of_the_server_cannot_be_named_over_ssh(secured: App) -> None:
    failed = secured.ssh("certs:add {} /etc/shadow /etc/shadow").failed()
    assert "cannot be named over ssh" in failed.err
    assert "root" not in failed.out


def test_a_taken_https_port_leaves_the_app_as_it_was(server: Server, secured: App) -> None:
    """nginx cannot listen, keeps what it has, and the certificate is given back."""
    with socket.create_server(("127.0.0.1", server.https_port)):
        failed = secured.ssh("certs:add {}", input=bundle(leaf("a.tls.test"))).failed()
    assert "Address already in use" in failed.err
    assert report(secured) == []
    assert secured.serves("hello 1")
    assert list((server.layout.proxy / "certificates").iterdir()) == []


# -- what works -------------------------------------------------------------------------------


def test_a_certificate_is_added_reported_replaced_and_removed(
    server: Server, secured: App, tmp_path: Path
) -> None:
    first = leaf("a.tls.test")
    (tmp_path / "crt").write_bytes(first.pem + intermediate().pem)
    (tmp_path / "key").write_bytes(first.key)
    files = str(tmp_path / "crt"), str(tmp_path / "key")
    added = server.paas("certs:add", secured.name, *files).ok()
    assert "No certificate covers" in added.err
    assert visit(server, "a.tls.test") == (200, "hello 1\n")
    assert server.get(secured.name, host="a.tls.test").status == 301
    assert server.get(secured.name, host="b.tls.test").status == 200

    second = leaf("a.tls.test", ends=30)
    secured.ssh("certs:add {}", input=tar(second)).ok()
    assert shown(server, "a.tls.test") == second.fingerprint
    wild = leaf("*.tls.test", "x.other.test")
    secured.ssh("certs:add {}", input=bundle(wild)).ok()
    assert shown(server, "a.tls.test") == second.fingerprint
    assert shown(server, "b.tls.test") == wild.fingerprint

    one, two = report(secured)
    assert (one["fingerprint"], one["domains"]) == (second.fingerprint, ["a.tls.test"])
    assert (two["names"], two["domains"]) == (["*.tls.test", "x.other.test"], ["b.tls.test"])
    assert one["days_left"] == 29
    assert one["source"] == "given"
    assert second.fingerprint[:16] in secured.ssh("certs:report {}").ok().out
    files_left = {path.name for path in (server.layout.proxy / "certificates").iterdir()}
    assert files_left == {
        f"{each.fingerprint}.{kind}" for each in (second, wild) for kind in ("pem", "key")
    }

    secured.ssh("certs:remove {} a.tls.test").ok()
    assert shown(server, "a.tls.test") == wild.fingerprint
    secured.ssh("certs:remove {}").ok()
    assert server.get(secured.name, host="a.tls.test").status == 200
    assert "has no certificate" in secured.ssh("certs:remove {}").failed(20).err
    assert list((server.layout.proxy / "certificates").iterdir()) == []


def test_a_self_signed_certificate_and_what_a_push_then_says(server: Server, app: App) -> None:
    app.push(apps.plain()).ok()
    app.ssh("certs:generate {}").ok()
    host = f"{app.name}.{DOMAIN}"
    (made,) = report(app)
    assert made["self_signed"] is True
    assert shown(server, host) == made["fingerprint"]
    pushed = app.push({"VERSION": "2\n"}).ok()
    assert f"https://{host}:{server.https_port}" in pushed.text
    assert shown(server, host) == made["fingerprint"]
    assert app.get().status == 301

    assert "neither on nor off" in app.ssh("certs:set {} --https-redirect maybe").failed().err
    app.ssh("certs:set {} --https-redirect off").ok()
    assert app.serves("hello 2")


def test_a_destroyed_app_leaves_no_key(server: Server, app: App) -> None:
    app.ssh("apps:create {}").ok()
    app.ssh("certs:generate {}").ok()
    assert len(list((server.layout.proxy / "certificates").iterdir())) >= 2
    app.ssh("apps:destroy {} --force").ok()
    assert list((server.layout.proxy / "certificates").iterdir()) == []
