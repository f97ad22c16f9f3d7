"""The one table of what can be tuned about the proxy: `proxy:set`, its help and its report."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable
from ipaddress import ip_network

from paas.model.limits import MIB
from paas.model.names import shown
from paas.model.settings import InvalidSetting, Setting, UnknownSetting

UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
SIZES = {"": 1, "k": 1024, "m": MIB, "g": 1024 * MIB}


def parse_size(text: str) -> int:
    """`100m` in bytes. Raises `InvalidSetting`."""
    match = re.fullmatch(r"([0-9]{1,9})([kmg]?)b?", text.lower())
    if match is None:
        raise InvalidSetting(
            f"{shown(text)} is not a size", resolution="Write it like 500m or 2g; 0 is no limit."
        )
    return int(match[1]) * SIZES[match[2]]


def _seconds(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        match = re.fullmatch(r"([0-9]{1,9})([smhd]?)", text.lower())
        seconds = int(match[1]) * UNITS_S[match[2]] if match else -1
        if not least <= seconds <= most:
            raise InvalidSetting(
                f"{shown(text)} is not a time from {least} to {most} seconds",
                resolution="Write it like 90s, 5m or 1h.",
            )
        return seconds

    return parse


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise InvalidSetting(f"{shown(text)} is not a whole number from {least} to {most}")
        return int(text)

    return parse


def _switch(text: str) -> bool:
    if text not in {"on", "off", "true", "false"}:
        raise InvalidSetting(f"{shown(text)} is neither on nor off")
    return text in {"on", "true"}


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise InvalidSetting(f"{shown(text)} is not one of {', '.join(words)}")
        return text

    return parse


def _networks(text: str) -> str:
    """Addresses and networks, parted by commas or spaces."""
    try:
        networks = [ip_network(each, strict=False) for each in re.split(r"[,\s]+", text) if each]
    except ValueError:
        raise InvalidSetting(
            f"{shown(text)} is not a list of IP addresses or networks",
            resolution="Write it like 192.0.2.7,10.0.0.0/8,2001:db8::/32.",
        ) from None
    return ",".join(map(str, networks))


def _rate(text: str) -> str:
    if text and not re.fullmatch(r"[1-9][0-9]{0,5}/[sm]", text):
        raise InvalidSetting(
            f"{shown(text)} is not a rate", resolution="Write it like 10/s or 300/m."
        )
    return text


USER = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
HASH = re.compile(r"\{SSHA\}[A-Za-z0-9+/=]{28,64}")


def _users(text: str) -> str:
    """`ann:secret bob:secret`; what is hashed already stays as it is."""
    return " ".join(_user(entry) for entry in text.split())


def _user(entry: str) -> str:
    name, colon, password = entry.partition(":")
    if not colon or not password or not USER.fullmatch(name):
        raise InvalidSetting(
            "A user is not of the form NAME:PASSWORD",  # without it: it may be the password
            resolution="Write it like 'ann:a-secret bob:another'; a password has no spaces.",
        )
    return entry if HASH.fullmatch(password) else f"{name}:{hashed(password)}"


def hashed(password: str) -> str:
    """Salted SHA-1, as nginx checks it (RFC 2307, SSHA).

    It is asked for every single request: a slow hash would let anybody stop the proxy.
    """
    salt = os.urandom(8)
    digest = hashlib.sha1(password.encode() + salt).digest()  # noqa: S324 - nginx's best fast one
    return "{SSHA}" + base64.b64encode(digest + salt).decode()


def _file_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,199}", text) or ".." in text.split("/"):
        raise InvalidSetting(f"{shown(text)} is not the path of a file in the repository")
    return text


def _number(name: str, parse: Callable[[str], int], default: int, text: str) -> Setting[int]:
    return Setting(name, parse, default, text, app=True)


def _toggle(name: str, text: str, *, default: bool) -> Setting[bool]:
    return Setting(name, _switch, default, text, app=True)


MAX_BODY = _number("max-body", parse_size, 100 * MIB, "The largest request body; 0 is no limit")
CONNECT_TIMEOUT = _number(
    "connect-timeout", _seconds(1, 75), 5, "How long connecting to an instance may take"
)
READ_TIMEOUT = _number(
    "read-timeout", _seconds(1, 86400), 60, "How long an app may be silent within a response"
)
SEND_TIMEOUT = _number(
    "send-timeout", _seconds(1, 86400), 60, "How long an app may not read on within a request"
)
BODY_TIMEOUT = _number(
    "body-timeout", _seconds(1, 86400), 60, "How long a client may be silent within its upload"
)
KEEPALIVE_TIMEOUT = _number(
    "keepalive-timeout", _seconds(0, 3600), 65, "How long a client's connection may idle"
)
BUFFERING = _toggle(
    "buffering",
    "Take responses from the app as fast as it makes them; event streams are always passed on",
    default=True,
)
REQUEST_BUFFERING = _toggle(
    "request-buffering", "Hand a request to the app once all of it is there", default=True
)
COMPRESSION = _toggle("compression", "Compress text that the app did not (gzip)", default=True)
HSTS_SUBDOMAINS = _toggle(
    "hsts-include-subdomains", "HSTS speaks for all subdomains too", default=False
)
HSTS_PRELOAD = _toggle(
    "hsts-preload", "HSTS asks to be built into browsers (hstspreload.org)", default=False
)
CANONICAL = Setting(
    "canonical-host",
    _one_of("none", "www", "apex"),
    "none",
    "Of example.com and www.example.com, if the app has both, the one that is redirected to",
    app=True,
)
BASIC_AUTH = Setting(
    "basic-auth", _users, "", "Users who may pass, as NAME:PASSWORD; kept hashed", app=True
)
ALLOW = Setting(
    "allow", _networks, "", "Addresses and networks that may pass; empty: all", app=True
)
RATE_LIMIT = Setting(
    "rate-limit", _rate, "", "Requests of one client address, like 10/s; more get 429", app=True
)
RATE_BURST = _number("rate-burst", _whole(0, 100000), 20, "Requests above the rate at once")
CONNECTION_LIMIT = _number(
    "connection-limit", _whole(0, 100000), 0, "Requests of one client at a time; 0 is no limit"
)
STICKY = _toggle("sticky", "Keep a visitor at one instance, by a cookie", default=False)
STRIP_PATH = _toggle(
    "strip-path",
    "Below a path (domains:add APP example.com/api), hide it from the app",
    default=True,
)
LOG_FORMAT = Setting(
    "log-format",
    _one_of("json", "combined", "off"),
    "json",
    "How requests are logged: JSON, or as Apache does",
    app=True,
)
SNIPPET_PATH = Setting(
    "snippet-path",
    _file_name,
    "paas.nginx.conf",
    "The file in the repository whose nginx directives are added to the app's site",
    app=True,
)
TRUSTED_PROXIES = Setting(
    "trusted-proxies",
    _networks,
    "",
    "Load balancers in front, whose X-Forwarded-For and -Proto are believed",
)
PROXY_PROTOCOL = Setting(
    "proxy-protocol",
    _switch,
    False,  # noqa: FBT003 (the default)
    "Every connection begins with a PROXY header; clients without one are refused",
)
UNKNOWN_HOST = Setting(
    "unknown-host",
    _one_of("close", "page"),
    "close",
    "What a host that no app has gets: a closed connection, or a page",
)
HTTP3 = Setting(
    "http3",
    _switch,
    False,  # noqa: FBT003 (the default)
    "Serve HTTP/3 too, on UDP, where the installed nginx can",
)

PROXY_SETTINGS: tuple[Setting[int] | Setting[str] | Setting[bool], ...] = (
    MAX_BODY,
    CONNECT_TIMEOUT,
    READ_TIMEOUT,
    SEND_TIMEOUT,
    BODY_TIMEOUT,
    KEEPALIVE_TIMEOUT,
    BUFFERING,
    REQUEST_BUFFERING,
    COMPRESSION,
    HSTS_SUBDOMAINS,
    HSTS_PRELOAD,
    CANONICAL,
    BASIC_AUTH,
    ALLOW,
    RATE_LIMIT,
    RATE_BURST,
    CONNECTION_LIMIT,
    STICKY,
    STRIP_PATH,
    LOG_FORMAT,
    SNIPPET_PATH,
    TRUSTED_PROXIES,
    PROXY_PROTOCOL,
    UNKNOWN_HOST,
    HTTP3,
)


DEFAULT_DOMAIN = Setting(
    "default-domain",
    _switch,
    True,  # noqa: FBT003 (the default)
    "Whether the app is served at <app>.<domain> too: domains:clear, domains:reset",
    app=True,
)
MAINTENANCE = Setting(
    "maintenance",
    _switch,
    False,  # noqa: FBT003 (the default)
    "Whether visitors get a page instead of the app: maintenance:on, maintenance:off",
    app=True,
)
MAINTENANCE_PAGE = Setting(
    "maintenance-page", str, "", "The page they get, as HTML: maintenance:page", app=True
)


def proxy_setting(name: str) -> Setting[int] | Setting[str] | Setting[bool]:
    """The setting called `name`. Raises `UnknownSetting`."""
    for each in PROXY_SETTINGS:
        if each.name == name:
            return each
    raise UnknownSetting(
        f"The proxy has no setting {shown(name)}",
        resolution="It has: " + ", ".join(each.name for each in PROXY_SETTINGS) + ".",
    )
