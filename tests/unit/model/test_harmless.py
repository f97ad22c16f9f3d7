"""What an app writes must not reprogram the terminal of who reads it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.model.harmless import harmless

CONTROLS = "\x1b[]P;:?0m1mHJ\\\x07\x9b\x9d\x9c\r\n\t\b\x7f \u202eab"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;owned\x07title", "title"),
        ("\x1b]52;c;c2VjcmV0\x1b\\clipboard", "clipboard"),
        ("\x9d0;owned\x9cc1", "c1"),
        ("\x1b[6nanswer", "answer"),
        ("\x1bP$qm\x1b\\dcs", "dcs"),
        ("\x1b[2J\x1b[1;1Hcleared", "cleared"),
        ("real\rfake", "realfake"),
        ("a\x08b\x7f\x00c", "abc"),
        ("\x1b]0;never ended", ""),
        ("ends in \x1b", "ends in "),
        ("\u202eevil\u202c", "evil"),
        ("\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m"),
        ("\x1b[38:2::1:2:3mtrue", "\x1b[38:2::1:2:3mtrue\x1b[0m"),
        ("\x1b[\x1b[31mm", "\x1b[31mm\x1b[0m"),
        ("tab\there ü 🚀\nnext", "tab\there ü 🚀\nnext"),
    ],
)
def test_only_colours_are_let_through(text: str, shown: str) -> None:
    assert harmless(text) == shown


@given(st.text(st.sampled_from(CONTROLS)) | st.text())
def test_whatever_is_written_no_other_control_is_left(text: str) -> None:
    clean = harmless(text)
    assert harmless(clean) == clean
    bare = re.sub(r"\x1b\[[0-9;:]*m", "", clean)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", bare)
