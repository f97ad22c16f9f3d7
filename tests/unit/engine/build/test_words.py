"""Expansion of variables, by the examples of the Dockerfile reference and POSIX."""

import pytest

from paas.engine.build.errors import BadSubstitution
from paas.engine.build.words import expand, expand_document

VALUES = {"a": "one two", "empty": "", "path": "x/y/z.tar.gz", "1": "digit"}


@pytest.mark.parametrize(
    ("word", "result"),
    [
        ("$a", "one two"),
        ("${a}", "one two"),
        ("x${a}y", "xone twoy"),
        ("$unset", ""),
        ("$", "$"),
        ("a$", "a$"),
        ("$1x", "digitx"),
        (r"\$a", "$a"),
        (r"\${a}", "${a}"),
        ("'$a'", "$a"),
        ('"$a"', "one two"),
        (r'"\$a \" \n"', r'$a " \n'),
        (r"a\ b", "a b"),
        ("""it"'"s""", "it's"),
        ("${unset:-word}", "word"),
        ("${unset-word}", "word"),
        ("${empty:-word}", "word"),
        ("${empty-word}", ""),
        ("${a:-word}", "one two"),
        ("${unset:-${a}}", "one two"),
        ("${a:+word}", "word"),
        ("${empty:+word}", ""),
        ("${empty+word}", "word"),
        ("${a:?no}", "one two"),
        ("${path#*/}", "y/z.tar.gz"),
        ("${path##*/}", "z.tar.gz"),
        ("${path%.*}", "x/y/z.tar"),
        ("${path%%.*}", "x/y/z"),
        ("${path%/?.tar.gz}", "x/y"),
        ("${path/\\//-}", "x-y/z.tar.gz"),
        ("${path//a/A}", "x/y/z.tAr.gz"),
        ("${path/z*/end}", "x/y/end"),
    ],
)
def test_expansion(word: str, result: str) -> None:
    assert expand(word, VALUES) == result


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("${a", "${a: missing '}'"),
        ("${}", "${}: bad substitution"),
        ("${:x}", "${:x}: bad substitution"),
        ("${a:x}", "${a:x}: unsupported modifier : in substitution"),
        ("${a^}", "${a^}: unsupported modifier ^ in substitution"),
        ("${unset:?}", "unset: is not allowed to be unset"),
        ("${unset:?give it}", "unset: give it"),
        ("${empty:?give it}", "empty: give it"),
        ("'a", "'a: missing closing single quote"),
        ('"a', '"a: missing closing double quote'),
    ],
)
def test_what_means_nothing_is_refused(word: str, message: str) -> None:
    with pytest.raises(BadSubstitution) as caught:
        expand(word, VALUES)
    assert caught.value.brief == message


def test_the_escape_character_can_be_the_backtick() -> None:
    assert expand(r"C:\dir`$a$a", VALUES, "`") == r"C:\dir$aone two"


def test_quotes_are_text_in_a_document() -> None:
    assert expand_document("'$a' \"x\" \\$a \\n\n", VALUES) == "'one two' \"x\" $a \\n\n"
