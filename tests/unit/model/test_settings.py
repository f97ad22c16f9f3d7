"""The table of settings."""

from __future__ import annotations

import pytest

from paas.errors import PaasError
from paas.model.settings import (
    BUILD_MEMORY,
    DEPLOY_BRANCH,
    DOMAIN,
    HTTP_PORT,
    SETTINGS,
    UnknownSetting,
    setting,
)


def test_an_unknown_setting_is_told_with_those_there_are() -> None:
    with pytest.raises(UnknownSetting) as caught:
        setting("htp-port")
    assert "http-port" in caught.value.resolution
    assert caught.value.code == 20


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "80 ", "eighty", "٨٠", "1e3"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(PaasError, match="from 1 to 65535"):
        HTTP_PORT.parse(text)


@pytest.mark.parametrize("text", ["", "-x", "a..b", "a b", "a\n", "~x", "a:b", "a" * 251])
def test_what_is_no_branch_is_refused(text: str) -> None:
    with pytest.raises(PaasError, match="branch"):
        DEPLOY_BRANCH.parse(text)


@pytest.mark.parametrize(
    ("text", "amount"), [("512m", 512 << 20), ("2G", 2 << 30), ("1gb", 1 << 30), ("4096", 4096)]
)
def test_memory_is_written_as_people_write_it(text: str, amount: int) -> None:
    assert BUILD_MEMORY.parse(text) == amount


@pytest.mark.parametrize("text", ["", "m", "1.5g", "-1m", "1t"])
def test_what_is_no_memory_is_refused(text: str) -> None:
    with pytest.raises(PaasError, match="memory"):
        BUILD_MEMORY.parse(text)


def test_no_domain_is_a_domain_setting_too() -> None:
    assert DOMAIN.parse("") == ""
    assert DOMAIN.parse("Example.COM") == "example.com"


def test_every_setting_is_found_by_its_name_and_says_what_it_is() -> None:
    assert len({each.name for each in SETTINGS}) == len(SETTINGS)
    for each in SETTINGS:
        assert setting(each.name) is each
        assert each.help
