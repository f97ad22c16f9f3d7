"""What can be set about certificates from an ACME authority: one table, shown by the help."""

from __future__ import annotations

import re
from collections.abc import Callable

from paas.model.names import shown
from paas.model.settings import InvalidSetting, Setting, switch

PRODUCTION = "https://acme-v02.api.letsencrypt.org/directory"
STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"

KEY_TYPES = ("ec-256", "ec-384", "rsa-2048", "rsa-3072", "rsa-4096")
HTTP_01, DNS_01 = "http-01", "dns-01"


def _email(text: str) -> str:
    # One address, as it goes into a mailto: URL (RFC 6068); the authority knows better.
    if not re.fullmatch(r"[A-Za-z0-9.!#$&'*+/=^_`{|}~-]+@[A-Za-z0-9.-]+", text):
        raise InvalidSetting(f"{shown(text)} is not an e-mail address")
    return text


def _directory_url(text: str) -> str:
    url = {"production": PRODUCTION, "default": PRODUCTION, "staging": STAGING}.get(text, text)
    if not re.fullmatch(r"https://[!-~]{1,500}", url):
        raise InvalidSetting(
            f"{shown(text)} is not the URL of an ACME directory",
            resolution="It is production, staging, or a URL that begins with https://, as"
            " RFC 8555, section 6.1, demands.",
        )
    return url


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise InvalidSetting(f"{shown(text)} is not one of {', '.join(choices)}")
        return text

    return parse


def _file(text: str) -> str:
    if not re.fullmatch(r"/[!-~]{1,500}", text) or "/../" in text:
        raise InvalidSetting(f"{shown(text)} is not the absolute path of a file on the server")
    return text


def _dns_server(text: str) -> str:
    if not re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]{1,253})(:[0-9]{1,5})?", text):
        raise InvalidSetting(
            f"{shown(text)} is not the address of a DNS server",
            resolution="Write HOST or HOST:PORT; an IPv6 address in brackets.",
        )
    return text


def _key_id(text: str) -> str:
    if not re.fullmatch(r"[!-~]{1,500}", text):
        raise InvalidSetting(f"{shown(text)} is not a key identifier")
    return text


EMAIL = Setting("letsencrypt-email", _email, "", "The contact of the ACME account")
SERVER = Setting(
    "letsencrypt-server",
    _directory_url,
    PRODUCTION,
    "The directory of the ACME authority: production, staging, or a URL",
)
TRUST = Setting("letsencrypt-trust", _file, "", "A file of certificates to know the authority by")
EAB_KID = Setting(
    "letsencrypt-eab-kid",
    _key_id,
    "",
    "The key identifier of an external account (RFC 8555, 7.3.4)",
)
AUTO = Setting(
    "letsencrypt-auto",
    switch,
    True,  # noqa: FBT003 (the default)
    "Whether domains get certificates by themselves, once an e-mail is set",
    app=True,
)
KEY_TYPE = Setting(
    "letsencrypt-key-type", _one_of(*KEY_TYPES), "ec-256", ", ".join(KEY_TYPES), app=True
)
CHALLENGE = Setting(
    "letsencrypt-challenge",
    _one_of(HTTP_01, DNS_01),
    HTTP_01,
    "How control of a domain is shown: http-01, or dns-01, which wildcards need",
    app=True,
)
DNS_SERVER = Setting(
    "letsencrypt-dns-server",
    _dns_server,
    "",
    "The primary DNS server, which takes dynamic updates (RFC 2136)",
    app=True,
)
DNS_KEY = Setting(
    "letsencrypt-dns-key", _file, "", "The file of its TSIG key, as tsig-keygen prints it", app=True
)
DNS_HOOK = Setting(
    "letsencrypt-dns-hook",
    _file,
    "",
    "A program instead: called as HOOK present|cleanup NAME VALUE",
    app=True,
)

PREFIX = "letsencrypt-"

SETTINGS: tuple[Setting[str] | Setting[bool], ...] = (
    EMAIL, SERVER, TRUST, EAB_KID, AUTO, KEY_TYPE, CHALLENGE, DNS_SERVER, DNS_KEY, DNS_HOOK,
)  # fmt: skip

FILES = frozenset({TRUST.name, DNS_KEY.name, DNS_HOOK.name})
"""They name files that root reads or runs, so only root on the server may set them."""
