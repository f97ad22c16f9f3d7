"""The proxy's settings: what each takes, and that nothing of it means more to nginx."""

from __future__ import annotations

import re

import pytest

from paas.errors import PaasError
from paas.model.proxysettings import BASIC_AUTH, PROXY_SETTINGS, proxy_setting
from paas.model.settings import UnknownSetting

HOSTILE = ["; return 200", "1; }", "$host", '"', "\n", "{", "'", "1 1;", "\x00", "é", "-1"]


@pytest.mark.parametrize("setting", PROXY_SETTINGS, ids=lambda each: each.name)
@pytest.mark.parametrize("text", HOSTILE)
def test_syntax_of_nginx_is_refused_by_every_setting(setting: object, text: str) -> None:
    with pytest.raises(PaasError) as caught:
        assert proxy_setting(setting.name).parse(text) == ""  # type: ignore[attr-defined]
        raise PaasError("empty")
    assert caught.value.brief.isprintable()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("max-body", "1g", 1 << 30),
        ("max-body", "0", 0),
        ("read-timeout", "5m", 300),
        ("compression", "off", False),
        ("allow", "10.1.2.3/8, 2001:db8::1", "10.0.0.0/8,2001:db8::1/128"),
        ("rate-limit", "10/s", "10/s"),
        ("canonical-host", "www", "www"),
    ],
)
def test_values_are_understood(name: str, text: str, value: object) -> None:
    assert proxy_setting(name).parse(text) == value


def test_a_password_is_kept_hashed_and_told_to_nobody() -> None:
    kept = BASIC_AUTH.parse("ann:s3cret bob:other")
    assert re.fullmatch(r"ann:\{SSHA\}\S+ bob:\{SSHA\}\S+", kept)
    assert "s3cret" not in kept
    assert BASIC_AUTH.parse(kept) == kept
    with pytest.raises(PaasError) as caught:
        BASIC_AUTH.parse("s3cret")
    assert "s3cret" not in str(caught.value)


def test_every_setting_has_help_and_takes_its_own_default() -> None:
    for each in PROXY_SETTINGS:
        assert each.help
        switch = "on" if each.default else "off"
        text = switch if isinstance(each.default, bool) else str(each.default)
        assert each.parse(text) == each.default
    with pytest.raises(UnknownSetting, match="no setting"):
        proxy_setting("client-max-body-size")
