"""HTTPS with a real nginx, in a network namespace of its own, by real clients."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from paas.host import syscalls
from paas.host.files import remove_tree
from paas.host.waiting import wait_until
from paas.model.layout import Layout
from paas.model.port import parse_port
from paas.proxy.certificates import Pair, read_pair, self_signed
from paas.proxy.listening import Listening
from paas.proxy.nginx import RELOAD_S, NginxFailed
from paas.proxy.presented import presented
from paas.proxy.proxy import Proxy
from paas.proxy.site import Listener, Site, SiteOptions, SiteState, Tls
from paas.proxy.snippet import BrokenSnippet, rendered
from tests.authority import DAY, Issued, bundle, intermediate, issue, leaf, root
from tests.engine.proxied import refuses
from tests.engine.tlsscan import (
    ALPN,
    HEARTBEAT,
    RENEGOTIATION,
    SSL_3,
    SUITES,
    TLS_1_0,
    TLS_1_1,
    TLS_1_2,
    TLS_1_3,
    UNCOMPRESSED,
    Hello,
    Refused,
    accepted,
    offer,
)

pytestmark = pytest.mark.turns(2)

CLONE_NEWNET = 0x40000000
HTTP, HTTPS = 8081, 8443
SLOT = "127.0.1.1"


class Echo(BaseHTTPRequestHandler):
    """Answers with the headers it was sent, as JSON; to `/hsts` with a policy of its own."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        headers = {key.lower(): value for key, value in self.headers.items()}
        body = json.dumps({"headers": headers, "path": self.path}).encode()
        self.send_response(200)
        if self.path == "/hsts":
            self.send_header("Strict-Transport-Security", "max-age=1; preload")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def layout() -> Iterator[Layout]:
    """A root and a network that only this test sees."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    syscalls.unshare(CLONE_NEWNET)
    # pytest's own directories let nobody pass, and workers must.
    root = Path(tempfile.mkdtemp(prefix="paas-tls-"))
    root.chmod(0o711)
    layout = Layout.at(root)
    try:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield layout
    finally:
        remove_tree(root)
        remove_tree(layout.run)
        syscalls.setns(home, CLONE_NEWNET)
        os.close(home)


@pytest.fixture
def proxy(layout: Layout) -> Iterator[Proxy]:
    """A running nginx and one instance behind it."""
    proxy = Proxy(layout, lambda: Listening(http_port=HTTP, https_port=HTTPS))
    proxy.start()
    with ThreadingHTTPServer((SLOT, 80), Echo) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        yield proxy
        server.shutdown()
    proxy.stop()


def pair(*names: str) -> Pair:
    return read_pair(bundle(leaf(*names)), time.time())


def site(
    proxy: Proxy, app: str, *pairs: Pair, domains: Sequence[str] = (), **changes: object
) -> Site:
    """A live site that has these certificates, each for the domains that it names."""
    tls = []
    for each in pairs:
        proxy.pairs.keep(each)
        one = each.certificate.fingerprint
        chain, key = proxy.pairs.chain_file(one), proxy.pairs.key_file(one)
        tls.append(Tls(each.certificate.names, chain, key))
    own = tuple(domains) or tuple(name for each in tls for name in each.domains)
    return Site(app=app, domains=own, slots=(SLOT,), tls=tuple(tls), **changes)


def context(**limits: ssl.TLSVersion) -> ssl.SSLContext:
    """A client that trusts the tests' authority and verifies names."""
    made = ssl.create_default_context(cadata=root().pem.decode())
    for name, version in limits.items():
        setattr(made, name, version)
    return made


def shown(
    name: str, *, family: str = "127.0.0.1", client: ssl.SSLContext | None = None
) -> ssl.SSLSocket:
    """A finished handshake for `name`; the caller closes it."""
    plain = socket.create_connection((family, HTTPS), 60)
    try:
        return (client or context()).wrap_socket(plain, server_hostname=name)
    except BaseException:
        plain.close()
        raise


def ask(
    host: str, path: str = "/", method: str = "GET", *, secure: bool = True
) -> http.client.HTTPResponse:
    """One request over HTTP/1.1; the answer was read."""
    connection: http.client.HTTPConnection
    if secure:
        connection = http.client.HTTPSConnection(host, HTTPS, timeout=60, context=context())
        connection.sock = shown(host)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", HTTP, timeout=60)
    connection.request(method, path, headers={"Host": host})
    answer = connection.getresponse()
    answer.body = answer.read()  # type: ignore[attr-defined]
    connection.close()
    return answer


def headers_at_app(answer: http.client.HTTPResponse) -> dict[str, str]:
    told: dict[str, str] = json.loads(answer.body)["headers"]  # type: ignore[attr-defined]
    return told


# -- failures first -------------------------------------------------------------------------


def test_a_damaged_certificate_quarantines_its_app_alone(proxy: Proxy) -> None:
    good, bad = pair("good.test"), pair("bad.test")
    broken = site(proxy, "bad", bad)
    proxy.pairs.chain_file(bad.certificate.fingerprint).write_text("no certificate")
    ((app, reason),) = proxy.apply([site(proxy, "good", good), broken]).quarantined
    assert app == "bad"
    assert "certificate" in reason
    assert ask("good.test").status == 200
    proxy.pairs.keep(bad)
    assert proxy.apply([site(proxy, "good", good), broken]).quarantined == ()
    assert ask("bad.test").status == 200


def test_a_damaged_new_certificate_leaves_the_old_one_serving(proxy: Proxy) -> None:
    old, new = pair("a.test"), pair("a.test")
    proxy.apply([site(proxy, "a", old)])
    changed = site(proxy, "a", new)
    proxy.pairs.key_file(new.certificate.fingerprint).write_bytes(old.key)
    assert [app for app, _ in proxy.apply([changed]).quarantined] == ["a"]
    assert proxy.presents("a.test", old.certificate.fingerprint)


def test_a_missing_key_keeps_nobody_else_from_starting(proxy: Proxy, layout: Layout) -> None:
    good, bad = pair("good.test"), pair("bad.test")
    proxy.apply([site(proxy, "good", good), site(proxy, "bad", bad)])
    proxy.stop()
    proxy.pairs.key_file(bad.certificate.fingerprint).unlink()
    assert proxy.start()
    assert ask("good.test").status == 200


def test_many_certificates_are_looked_up_and_a_damaged_one_harms_nobody(
    proxy: Proxy, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a reload should read: here more than one."""
    monkeypatch.setattr("paas.proxy.proxy.READ_AT_START", 1)
    good, wild, bad = pair("good.test"), pair("*.wild.test"), pair("bad.test")
    port = Listener(parse_port("https:8449:5000"), (SLOT,))
    sites = [
        site(proxy, "good", good, wild, listeners=(port,)),
        site(proxy, "bad", bad, options=SiteOptions(hsts_s=9)),
    ]
    key = proxy.pairs.key_file(bad.certificate.fingerprint)
    key.write_text("no 'key';")
    assert [app for app, _ in proxy.apply(sites).quarantined] == ["bad"]
    assert ask("good.test").status == 200
    proxy.pairs.keep(bad)
    assert proxy.apply(sites).quarantined == ()
    text = (layout.proxy / "current/sites/bad.conf").read_text()
    assert "ssl_certificate" not in text
    for each, name in ((good, "good.test"), (wild, "x.wild.test"), (bad, "bad.test")):
        assert proxy.presents(name, each.certificate.fingerprint)
        assert proxy.presents(name.upper(), each.certificate.fingerprint)
    assert ask("bad.test").headers["Strict-Transport-Security"] == "max-age=9"
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        shown("b.test")
    assert presented("127.0.0.1", 8449, "x.wild.test") == wild.certificate.fingerprint
    tables = list((layout.proxy / "certificates").glob("*.table"))
    assert {(path.stat().st_mode & 0o777, path.stat().st_uid) for path in tables} == {(0o600, 0)}
    proxy.pairs.forget_others([good.certificate.fingerprint])
    assert len(list((layout.proxy / "certificates").iterdir())) == 3
    assert proxy.apply(sites[:1]).reloaded


def test_no_snippet_of_another_app_is_answered_with_a_key(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nginx has the keys it looks up in a variable, which it fills in by the handshake's name."""
    monkeypatch.setattr("paas.proxy.proxy.READ_AT_START", 1)
    for name in ("$paas_pem", "${paas_pem}", "$PAAS_Pem"):
        with pytest.raises(BrokenSnippet, match="the proxy's own"):
            rendered(f"return 200 {name};", "http://paas-evil", ())
    evil = SiteOptions(https_redirect=False, extra="return 200 '$paas_pem';")
    sites = [
        site(proxy, "victim", pair("victim.test")),
        site(proxy, "evil", pair("evil.test"), options=evil),
    ]
    proxy.apply(sites)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", HTTPS), 60) as plain,
        context.wrap_socket(plain, server_hostname="victim.test") as secure,
    ):
        secure.sendall(b"GET / HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n")
        got = b"".join(iter(lambda: secure.recv(65536), b""))
    assert b"PRIVATE KEY" not in got


def test_a_certificate_that_expired_meanwhile_is_shown_on_and_the_site_served(
    proxy: Proxy,
) -> None:
    """Clients say that it has expired; a site that is gone would say nothing."""
    given = read_pair(bundle(leaf("a.test", ends=-0.5)), time.time() - 0.75 * DAY)
    proxy.apply([site(proxy, "a", given), site(proxy, "b", pair("b.test"))])
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate has expired"):
        shown("a.test")
    assert presented("127.0.0.1", HTTPS, "a.test") == given.certificate.fingerprint
    proxy.stop()
    assert proxy.start()
    assert presented("127.0.0.1", HTTPS, "a.test") == given.certificate.fingerprint
    assert ask("b.test").status == 200


def test_an_unknown_name_gets_no_handshake_and_no_name_neither(proxy: Proxy) -> None:
    proxy.apply([site(proxy, "a", pair("a.test"), domains=("a.test", "plain.test"))])
    for name in ("b.test", "plain.test", "sub.a.test"):
        with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
            shown(name)
    nameless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    nameless.check_hostname, nameless.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", HTTPS), 60) as plain,
        pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"),
    ):
        nameless.wrap_socket(plain)


def test_a_request_for_another_host_than_the_handshake_s_is_misdirected(proxy: Proxy) -> None:
    proxy.apply([site(proxy, "a", pair("a.test"), domains=("a.test", "plain.test"))])
    connection = http.client.HTTPSConnection("a.test", HTTPS, context=context())
    connection.sock = shown("a.test")
    connection.request("GET", "/", headers={"Host": "plain.test"})
    assert connection.getresponse().status == 421
    connection.close()


SUITES_1_2 = {
    "ECDSA": {0xC02B, 0xC02C, 0xCCA9},
    "RSA": {0xC02F, 0xC030, 0xCCA8},
}
"""ECDHE with AES-128-GCM, AES-256-GCM and CHACHA20-POLY1305 (RFC 5289, RFC 7905)."""


def test_only_modern_protocols_and_suites_are_spoken(proxy: Proxy) -> None:
    """Forward secrecy and authenticated encryption alone, whatever a client offers."""
    private = rsa.generate_private_key(65537, 2048)
    kept = read_pair(bundle(issue(["rsa.test"], by=intermediate(), key=private)), time.time())
    proxy.apply([site(proxy, "a", pair("ecdsa.test"), kept)])
    server = "127.0.0.1", HTTPS
    for kind, suites in SUITES_1_2.items():
        name = f"{kind.lower()}.test"
        assert accepted(server, name, TLS_1_2) == suites
        assert accepted(server, name, TLS_1_3) == {0x1301, 0x1302, 0x1303}
        for old in (SSL_3, TLS_1_0, TLS_1_1):
            assert accepted(server, name, old) == set()
    chosen = offer(server, "ecdsa.test", TLS_1_2, SUITES, (b"h2", b"http/1.1"))
    assert isinstance(chosen, Hello)
    assert chosen.compression == UNCOMPRESSED  # CVE-2012-4929
    assert HEARTBEAT not in chosen.extensions  # CVE-2014-0160
    assert RENEGOTIATION in chosen.extensions  # RFC 5746
    assert chosen.extensions[ALPN].endswith(b"h2")
    # A protocol of neither (ALPACA) is refused: no_application_protocol (RFC 7301, section 3.2).
    assert offer(server, "ecdsa.test", TLS_1_2, SUITES, (b"ftp",)) == Refused(120)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed_also_behind_a_reload(proxy: Proxy, version: ssl.TLSVersion) -> None:
    proxy.apply([site(proxy, "a", pair("a.test"))])
    client = context(minimum_version=version, maximum_version=version)
    with shown("a.test", client=client) as first:
        first.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
        while first.recv(65536):
            pass  # TLS 1.3 tells of the session behind the handshake
        session = first.session
    assert proxy.apply([site(proxy, "a", pair("a.test")), site(proxy, "b", pair("b.test"))])
    plain = socket.create_connection(("127.0.0.1", HTTPS), 60)
    with client.wrap_socket(plain, server_hostname="a.test", session=session) as again:
        assert again.session_reused


def test_nobody_listens_on_the_https_port_without_a_certificate(proxy: Proxy) -> None:
    """Another program may be there, on a server that never asked for HTTPS."""
    with socket.create_server(("0.0.0.0", HTTPS)):
        assert proxy.apply([site(proxy, "a", domains=("a.test",))]).quarantined == ()
        assert ask("a.test", secure=False).status == 200


def test_a_taken_port_is_said_at_once_and_nothing_is_lost(proxy: Proxy) -> None:
    proxy.apply([site(proxy, "a", domains=("a.test",))])
    with socket.create_server(("0.0.0.0", HTTPS)):
        started = time.monotonic()
        with pytest.raises(NginxFailed) as caught:
            proxy.apply([site(proxy, "a", pair("a.test"))])
        assert time.monotonic() - started < RELOAD_S
        assert f"0.0.0.0:{HTTPS} failed (98: Address already in use)" in str(caught.value)
        assert ask("a.test", secure=False).status == 200
        assert not proxy.apply([site(proxy, "a", domains=("a.test",))]).reloaded
    assert proxy.apply([site(proxy, "a", pair("a.test"))]).reloaded


# -- what works -------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("family", ["127.0.0.1", "::1"])
def test_modern_tls_and_http_2_on_both_families(
    proxy: Proxy, version: ssl.TLSVersion, family: str
) -> None:
    proxy.apply([site(proxy, "a", pair("a.test"))])
    client = context(minimum_version=version, maximum_version=version)
    client.set_alpn_protocols(["h2", "http/1.1"])
    with shown("a.test", family=family, client=client) as secure:
        assert secure.selected_alpn_protocol() == "h2"
        assert secure.version() == {772: "TLSv1.3", 771: "TLSv1.2"}[int(version)]
        assert re.search("GCM|CHACHA20", (secure.cipher() or ("",))[0])


def test_a_request_over_http_2_arrives(proxy: Proxy, layout: Layout) -> None:
    proxy.apply([site(proxy, "a", pair("a.test"))])
    trust = layout.root / "root.pem"
    trust.write_bytes(root().pem)
    done = subprocess.run(
        ["curl", "-s", "--http2", "--cacert", trust, "-w", "\n%{http_version}",
         "--resolve", f"a.test:{HTTPS}:127.0.0.1", f"https://a.test:{HTTPS}/x?y=z"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    told, version = done.stdout.splitlines()
    assert version == "2"
    assert json.loads(told)["path"] == "/x?y=z"
    assert json.loads(told)["headers"]["host"] == f"a.test:{HTTPS}"


def test_the_app_learns_that_it_was_https(proxy: Proxy) -> None:
    proxy.apply([site(proxy, "a", pair("a.test"), domains=("a.test", "plain.test"))])
    secure, plain = (
        headers_at_app(ask(host, secure=host == "a.test")) for host in ("a.test", "plain.test")
    )
    assert (secure["x-forwarded-proto"], secure["x-forwarded-port"]) == ("https", str(HTTPS))
    assert (plain["x-forwarded-proto"], plain["x-forwarded-port"]) == ("http", str(HTTP))


def test_sni_chooses_among_certificates_of_one_app_and_of_several(proxy: Proxy) -> None:
    one, wild, other = pair("a.test"), pair("*.a.test"), pair("b.test")
    proxy.apply([site(proxy, "a", one, wild), site(proxy, "b", other)])
    for name, expected in (
        ("a.test", one),
        ("x.a.test", wild),
        ("*.a.test", wild),
        ("b.test", other),
    ):
        assert proxy.presents(name, expected.certificate.fingerprint), name
    assert ask("x.a.test").status == 200


@pytest.mark.parametrize(("method", "status"), [("GET", 301), ("HEAD", 301), ("POST", 308)])
def test_plain_http_leads_to_https_with_path_and_query(
    proxy: Proxy, method: str, status: int
) -> None:
    proxy.apply([site(proxy, "a", pair("a.test"))])
    answer = ask("a.test", "/p%20q/?a=1&b=%2F", method, secure=False)
    assert answer.status == status
    assert answer.getheader("Location") == f"https://a.test:{HTTPS}/p%20q/?a=1&b=%2F"


def test_the_usual_port_is_not_named(layout: Layout) -> None:
    proxy = Proxy(layout, lambda: Listening(http_port=HTTP))
    proxy.start()
    try:
        proxy.apply([site(proxy, "a", pair("a.test"))])
        assert ask("a.test", secure=False).getheader("Location") == "https://a.test/"
    finally:
        proxy.stop()


def test_the_redirect_can_be_turned_off(proxy: Proxy) -> None:
    options = SiteOptions(https_redirect=False)
    proxy.apply([site(proxy, "a", pair("a.test"), options=options)])
    assert [ask("a.test", secure=secure).status for secure in (True, False)] == [200, 200]


@pytest.mark.parametrize("state", list(SiteState))
def test_challenges_are_answered_before_any_redirect_and_in_any_state(
    proxy: Proxy, state: SiteState
) -> None:
    proxy.apply([site(proxy, "a", pair("a.test"), state=state)])
    path = "/.well-known/acme-challenge/"
    with proxy.challenges.answered({"tok-en": "tok-en.thumb"}):
        answer = ask("a.test", f"{path}tok-en", secure=False)
        assert (answer.status, answer.body) == (200, b"tok-en.thumb")  # type: ignore[attr-defined]
    # What is not ours is the app's, which may have an ACME client of its own.
    expected = 200 if state is SiteState.LIVE else 404
    assert ask("a.test", f"{path}tok-en", secure=False).status == expected


def test_a_challenge_s_path_leads_to_no_other_file(proxy: Proxy) -> None:
    proxy.apply([site(proxy, "a", pair("a.test"), state=SiteState.EMPTY)])
    with proxy.challenges.answered({"token": "thumb"}):
        for odd in ("..%2f..%2f..%2fcurrent%2fnginx.conf", "%2e%2e/", "", "."):
            answer = ask("a.test", f"/.well-known/acme-challenge/{odd}", secure=False)
            assert answer.status != 200


def test_hsts_is_sent_over_https_alone_and_the_app_s_own_wins(proxy: Proxy) -> None:
    options = SiteOptions(https_redirect=False, hsts_s=15724800)
    proxy.apply([site(proxy, "my-app", pair("a.test"), options=options)])
    header = "Strict-Transport-Security"
    assert ask("a.test").headers.get_all(header) == ["max-age=15724800"]
    assert ask("a.test", "/hsts").headers.get_all(header) == ["max-age=1; preload"]
    assert ask("a.test", secure=False).headers.get_all(header) is None
    proxy.apply([site(proxy, "my-app", pair("a.test"))])
    assert ask("a.test").headers.get_all(header) is None


def test_other_ports_are_taken_up_by_whoever_applies_next(layout: Layout) -> None:
    """The supervisor lives on while somebody runs `paas up --https-port`."""
    places = [Listening(http_port=HTTP, https_port=HTTPS)]
    proxy = Proxy(layout, lambda: places[-1])
    proxy.start()
    try:
        fresh = pair("a.test")
        proxy.apply([site(proxy, "a", fresh)])
        places.append(Listening(http_port=HTTP, https_port=HTTPS + 1))
        assert proxy.apply([site(proxy, "a", fresh)]).reloaded
        assert proxy.presents("a.test", fresh.certificate.fingerprint)
        assert wait_until(lambda: refuses(HTTPS), 60)
    finally:
        proxy.stop()


def test_a_new_certificate_is_shown_when_apply_returns(proxy: Proxy) -> None:
    for _ in range(3):
        fresh = pair("a.test")
        assert proxy.apply([site(proxy, "a", fresh)]).reloaded
        assert proxy.presents("a.test", fresh.certificate.fingerprint)


def test_clients_are_told_how_a_certificate_stands_where_its_issuer_says_so(
    proxy: Proxy, tmp_path: Path
) -> None:
    """OCSP stapling (RFC 6066, section 8), as soon as the responder answers."""
    known = leaf("a.test", responder="http://127.0.0.1:8088/")
    kept = read_pair(bundle(known), time.time())
    tls = replace(site(proxy, "a", kept).tls[0], stapled=True)
    proxy.apply([replace(site(proxy, "a", kept), tls=(tls,))])
    assert "no response sent" in told_of("a.test")
    with responder(tmp_path, known):
        assert wait_until(lambda: "Cert Status: good" in told_of("a.test"), 60)


def told_of(name: str) -> str:
    """What a client that asks for it is told of the standing of a certificate."""
    argv = ["openssl", "s_client", "-status", "-servername", name]
    done = subprocess.run(
        [*argv, "-connect", f"127.0.0.1:{HTTPS}"], input="", capture_output=True, text=True
    )
    return done.stdout


@contextmanager
def responder(folder: Path, issued: Issued) -> Iterator[None]:
    """An OCSP responder that knows one certificate, and finds it good."""
    by = intermediate()
    (folder / "by.pem").write_bytes(by.pem)
    (folder / "by.key").write_bytes(by.key)
    serial = f"{issued.certificate.serial_number:040X}"
    (folder / "index").write_text(f"V\t491231235959Z\t\t{serial}\tunknown\t/CN=a.test\n")
    argv = ["openssl", "ocsp", "-index", "index", "-CA", "by.pem", "-rsigner", "by.pem"]
    process = subprocess.Popen(
        [*argv, "-rkey", "by.key", "-port", "8088", "-ndays", "1", "-ignore_err"],
        cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        # A worker that it does not answer asks again in five minutes.
        listening = ["ss", "-Hltn", "sport = :8088"]
        assert wait_until(lambda: subprocess.check_output(listening) != b"", 60)
        yield
    finally:
        process.kill()
        process.wait()


def test_keys_are_root_s_alone(proxy: Proxy, layout: Layout) -> None:
    made = self_signed(["a.test"], time.time())
    proxy.pairs.keep(made)
    for path in (layout.proxy / "certificates").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.stat().st_uid == 0
    assert (layout.proxy / "certificates").stat().st_mode & 0o777 == 0o700


def test_what_no_app_has_any_more_is_removed(proxy: Proxy) -> None:
    kept, gone = pair("a.test"), pair("b.test")
    for each in (kept, gone):
        proxy.pairs.keep(each)
    assert len(proxy.pairs.others({kept.certificate.fingerprint})) == 2
    proxy.pairs.forget_others({kept.certificate.fingerprint})
    assert proxy.pairs.key_file(kept.certificate.fingerprint).exists()
    assert not proxy.pairs.key_file(gone.certificate.fingerprint).exists()
