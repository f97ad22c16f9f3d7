"""What a newer nginx than Debian 12's does: HTTP/3, session tickets; and what it would warn of."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator

import pytest

from paas.model.layout import Layout
from paas.model.port import parse_port
from paas.proxy.certificates import self_signed
from paas.proxy.listening import Listening
from paas.proxy.proxy import Proxy
from paas.proxy.site import Listener, Site, Tls
from tests.engine.proxied import PORT, SLOTS, TLS_PORT, backend, own_network, own_root, site
from tests.newer import newer


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    """They come from the mirror, once; a test should not be timed by that."""
    newer("nginx", "usr/sbin/nginx")
    newer("curl", "usr/bin/curl")


@pytest.fixture
def layout() -> Iterator[Layout]:
    with own_network(), own_root() as layout:
        yield layout


@pytest.fixture
def proxy(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    program = newer("nginx", "usr/sbin/nginx")
    monkeypatch.setattr("paas.proxy.program.installed", lambda: str(program))
    place = Listening(http_port=PORT, https_port=TLS_PORT, http3=True)
    proxy = Proxy(layout, lambda: place)
    proxy.start()
    with backend("one"):
        yield proxy
    proxy.stop()


def secure(proxy: Proxy) -> Site:
    pair = self_signed(["hello.test"], time.time())
    proxy.pairs.keep(pair)
    mark = pair.certificate.fingerprint
    tls = Tls(("hello.test",), proxy.pairs.chain_file(mark), proxy.pairs.key_file(mark))
    ports = (
        Listener(parse_port("grpcs:8450:1"), SLOTS),
        Listener(parse_port("grpc:8451:1"), SLOTS),
    )
    return site(tls=(tls,), listeners=ports)


def curl(*options: str) -> str:
    """What curl says of a page; it tells the version of HTTP last."""
    done = subprocess.run(
        [newer("curl", "usr/bin/curl"), "-sSik", "--max-time", "60", "-w", "%{http_version}",
         "--resolve", f"hello.test:{TLS_PORT}:127.0.0.1", *options,
         f"https://hello.test:{TLS_PORT}/"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def test_http_3_is_served_and_told_of_and_nothing_is_warned_of(
    proxy: Proxy, layout: Layout
) -> None:
    served = secure(proxy)
    assert proxy.apply([served]).quarantined == ()
    over_tcp = curl("--http2")
    assert over_tcp.endswith("}2")
    assert f'alt-svc: h3=":{TLS_PORT}"' in over_tcp
    for sites in ([served, site("more")], [served]):
        got = curl("--http3-only")
        assert got.endswith("}3")
        told = json.loads(got.partition("\n\n")[2].removesuffix("3"))["headers"]
        assert told["host"] == f"hello.test:{TLS_PORT}"
        assert told["x-forwarded-proto"] == "https"
        assert proxy.apply(sites).reloaded
    found = (layout.logs / "proxy/error.log", proxy.logs.errors_of("hello"))
    log = "".join(each.read_text() for each in found)
    assert "[warn]" not in log
    assert "[emerg]" not in log


def test_a_session_is_resumed_by_a_ticket(proxy: Proxy) -> None:
    proxy.apply([secure(proxy)])
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    session: ssl.SSLSession | None = None
    for resumed in (False, True):
        plain = socket.create_connection(("127.0.0.1", TLS_PORT), 60)
        with client.wrap_socket(plain, server_hostname="hello.test", session=session) as secured:
            assert secured.session_reused is resumed
            session = secured.session
            assert session is not None
            assert session.has_ticket
