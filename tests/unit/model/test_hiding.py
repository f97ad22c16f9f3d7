"""What is shown of texts with credentials in them."""

from __future__ import annotations

import pytest

from paas.model.hiding import url_shown, words_shown

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"https://{SECRET}@host/p", "https://***@host/p"),
        (f"https://me:{SECRET}@host:8443/p#v1", "https://***@host:8443/p#v1"),
        (f"ssh://me:{SECRET}@host/p", "ssh://***@host/p"),
        # A sloppy one: what is behind the last @ is the host.
        (f"https://me:{SECRET}@{SECRET}@host/", "https://***@host/"),
        (f"https://me:{SECRET}@host", "https://***@host"),
        (f"a https://{SECRET}@a/ b https://{SECRET}@b/", "a https://***@a/ b https://***@b/"),
        (f"fatal: '{'https://' + SECRET}@host/'", "fatal: 'https://***@host/'"),
        (f"https://host/p?private_token={SECRET}&n=1", "https://host/p?private_token=***&n=1"),
        (f"https://host/p?n=1&X-Amz-Signature={SECRET}", "https://host/p?n=1&X-Amz-Signature=***"),
    ],
)
def test_what_lets_in_is_not_shown(text: str, told: str) -> None:
    assert url_shown(text) == told


@pytest.mark.parametrize(
    "text",
    [
        "https://host/p@v1",
        "https://host/p?n=me@host",
        "https://host?a=//b@c",
        "git@host:own/pack.git",
        "https://host:8443/p?page=2#token",
        "nothing",
        "",
    ],
)
def test_what_lets_nobody_in_is_shown(text: str) -> None:
    assert url_shown(text) == text
    assert words_shown([text]) == [text]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-H", f"Authorization: Bearer {SECRET}"], ["-H", "Authorization: ***"]),
        ([f"-Hauthorization:{SECRET}"], ["-Hauthorization:***"]),
        ([f"--header=PRIVATE-TOKEN: {SECRET}"], ["--header=PRIVATE-TOKEN: ***"]),
        (["--header", f"Cookie: a={SECRET}"], ["--header", "Cookie: ***"]),
        (["-H", f"X-Api-Key: {SECRET}\n{SECRET}"], ["-H", "X-Api-Key: ***"]),
        (
            ["-c", f"http.extraHeader=Authorization: Basic {SECRET}", "fetch"],
            ["-c", "http.extraHeader=Authorization: ***", "fetch"],
        ),
        (["--url", f"https://{SECRET}@host/"], ["--url", "https://***@host/"]),
        (["-H", "Accept: text/html"], ["-H", "Accept: text/html"]),
    ],
)
def test_headers_that_let_in_are_not_shown(words: list[str], told: list[str]) -> None:
    assert words_shown(words) == told
