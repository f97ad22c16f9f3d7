"""The door to urllib3: what this program fetches because somebody named a URL.

Such a URL must not lead to what only this server can reach: itself, its network, a
cloud's metadata. The address is looked at when the connection is there and before a byte
is sent, so neither a redirect nor a name that changes its address passes.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import proxy_bypass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from paas.engine.build.buildhost import this_host
from paas.errors import PaasError
from paas.model.hiding import url_shown

CHUNK = 1 << 16
CONNECT_SECONDS, READ_SECONDS = 15.0, 120.0


class HttpFailed(PaasError):
    """A URL could not be read; the message says why."""


class NotPublic(PaasError):
    """A host whose address is not one of the public internet."""

    def __init__(self, host: str, address: str, command: str = "git:allow-host") -> None:
        """`command` is what lets this server reach it all the same."""
        super().__init__(
            f"{host} has the address {address}, which is not a public one",
            resolution=f"If it is your own server, allow it: paas {command} {host}",
        )
        self.host, self.address = host, address


def check_address(host: str, address: str, hosts: frozenset[str]) -> None:
    """Return when `host` may be reached at `address`. Raises `NotPublic`."""
    found = ipaddress.ip_address(address.partition("%")[0])
    plain = getattr(found, "ipv4_mapped", None) or found
    if host not in hosts and not (plain.is_global and not plain.is_multicast):
        raise NotPublic(host, address)


def connections(url: str, hosts: frozenset[str]) -> urllib3.PoolManager:
    """Connections for `url` and where it redirects to.

    Through the host's proxy, which then decides what may be reached, if it has one.
    """
    timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    proxy = _proxy(url)
    if proxy is not None:
        return urllib3.ProxyManager(proxy, timeout=timeout)

    class Http(HTTPConnection):
        """Plain, to an address that was looked at."""

        def _new_conn(self) -> socket.socket:
            return _checked(super()._new_conn(), self.host, hosts)

    class Https(HTTPSConnection):
        """With TLS, to an address that was looked at."""

        def _new_conn(self) -> socket.socket:
            return _checked(super()._new_conn(), self.host, hosts)

    class HttpPool(urllib3.HTTPConnectionPool):
        """Of plain connections."""

        ConnectionCls = Http

    class HttpsPool(urllib3.HTTPSConnectionPool):
        """Of connections with TLS."""

        ConnectionCls = Https

    manager = urllib3.PoolManager(timeout=timeout, retries=urllib3.Retry(2, redirect=5))
    manager.pool_classes_by_scheme = {"http": HttpPool, "https": HttpsPool}
    return manager


def download(url: str, hosts: frozenset[str], take: Callable[[bytes], None]) -> None:
    """Hand what is at `url` on, piece by piece. Raises `HttpFailed`, `NotPublic`."""
    shown = url_shown(url)[:200]
    if urlsplit(url).scheme not in ("http", "https"):
        raise HttpFailed(f"{shown} is not a URL of http or https")
    try:
        answer = connections(url, hosts).request("GET", url, preload_content=False)
        if answer.status != 200:
            raise HttpFailed(f"{shown}: the server answered {answer.status}")
        for piece in answer.stream(CHUNK, decode_content=False):
            take(piece)
        answer.release_conn()
    except urllib3.exceptions.HTTPError as error:
        why = url_shown(str(error))[:300]
        raise HttpFailed(f"{shown} could not be read: {why}") from error


def post(url: str, hosts: frozenset[str], body: bytes, headers: Mapping[str, str]) -> int:
    """The status that the server answers to a POST, without following where it redirects to.

    User and password in the URL are sent as RFC 7617 has it. Raises `HttpFailed`, `NotPublic`.
    """
    parts = urlsplit(url)
    own = dict(headers)
    if parts.username is not None:
        words = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        own |= urllib3.make_headers(basic_auth=words)
        url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    try:
        answer = connections(url, hosts).request(
            "POST", url, body=body, headers=own, retries=False, redirect=False
        )
    except NotPublic as error:
        raise NotPublic(error.host, error.address, "drains:allow-host") from None
    except urllib3.exceptions.HTTPError as error:
        # Never with the URL, which may hold a token.
        raise HttpFailed(f"{parts.hostname} could not be reached: {_reason(error)}") from None
    return answer.status


def connect(host: str, port: int, hosts: frozenset[str], *, tls: bool) -> socket.socket:
    """A connection to a server, with TLS by the system's authorities. Raises `HttpFailed`,
    `NotPublic`.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # All before any is tried: not even whether somebody listens inside is told.
        for *_, address in found:
            check_address(host, str(address[0]), hosts)
        connection = _first(found)
        if not tls:
            return connection
        try:
            context = ssl.create_default_context()
            return context.wrap_socket(connection, server_hostname=host)
        except BaseException:
            connection.close()
            raise
    except NotPublic as error:
        raise NotPublic(error.host, error.address, "drains:allow-host") from None
    except (OSError, UnicodeError) as error:
        raise HttpFailed(f"{host}:{port} could not be reached: {_reason(error)}") from None


def _first(found: Sequence[tuple[Any, ...]]) -> socket.socket:
    """A connection to the first address that takes one. Raises `OSError`, that of the last."""
    problem: OSError = OSError("it has no address")
    for family, kind, protocol, _, address in found:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(CONNECT_SECONDS)
            connection.connect(address)
        except OSError as error:
            connection.close()
            problem = error
        else:
            return connection
    raise problem


def _reason(error: BaseException) -> str:
    """In few words, of what is at the bottom of it."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return str(getattr(error, "strerror", None) or error)[:200]


def _checked(connection: socket.socket, host: str, hosts: frozenset[str]) -> socket.socket:
    try:
        check_address(host.strip("[]"), connection.getpeername()[0], hosts)
    except NotPublic:
        connection.close()
        raise
    return connection


def _proxy(url: str) -> str | None:
    parts = urlsplit(url)
    env = this_host(os.environ, apt="").env
    kept_out = env.get("no_proxy") or env.get("NO_PROXY") or ""
    if proxy_bypass(parts.netloc.rpartition("@")[2], {"no": kept_out}):
        return None
    name = f"{parts.scheme}_proxy"
    return env.get(name) or env.get(name.upper())
