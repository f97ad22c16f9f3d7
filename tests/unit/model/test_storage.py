"""What is typed about storage."""

from __future__ import annotations

import pytest

from paas.errors import PaasError
from paas.model.storage import parse_quota


@pytest.mark.parametrize(("text", "found"), [("5g", 5 << 30), ("1m", 1 << 20), ("0", None)])
def test_a_quota(text: str, found: int | None) -> None:
    assert parse_quota(text) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [("9k", "less than a volume takes"), ("1", "less than"), ("five", "is not a size")],
)
def test_what_is_no_quota(text: str, said: str) -> None:
    with pytest.raises(PaasError, match=said):
        parse_quota(text)
