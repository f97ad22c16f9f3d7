"""What a repository may add to its app's site: nginx directives, of those that do no harm.

nginx's master is root, and whoever pushes is not: a log file, an `include`, a module or a
`proxy_pass` of a stranger's choice would hand over the machine. So the text is parsed, held
against a list, and written anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from paas.errors import PaasError

MAX_BYTES = 64 * 1024
DEEPEST = 4

_NAMES = """
absolute_redirect add_header add_trailer allow break charset client_body_timeout
client_max_body_size default_type deny error_page etag expires gzip gzip_comp_level
gzip_disable gzip_min_length gzip_proxied gzip_types gzip_vary keepalive_timeout limit_rate
limit_rate_after log_not_found port_in_redirect proxy_buffer_size proxy_buffering
proxy_buffers proxy_busy_buffers_size proxy_connect_timeout proxy_cookie_domain
proxy_cookie_flags proxy_cookie_path proxy_hide_header proxy_ignore_headers
proxy_intercept_errors proxy_pass_header proxy_read_timeout proxy_redirect
proxy_request_buffering proxy_send_timeout return rewrite send_timeout set sub_filter
sub_filter_last_modified sub_filter_once sub_filter_types
"""
PLAIN = frozenset(_NAMES.split())
"""Directives without a block. None of them names a file, an address or a module."""

BLOCKS = frozenset({"location", "if", "limit_except"})
VALUE = "@value@"
APP = "http://app"
"""What `proxy_pass` may name: the app's own instances."""

OURS = re.compile(r"[$<'{]paas_", re.IGNORECASE)
"""A variable of the proxy's own, read, or set by name or by a group of a pattern. nginx takes
them in any case."""

TOKEN = re.compile(
    r"""\s*(?:(?P<comment>\#[^\n]*)
    |"(?P<double>(?:[^"\\]|\\.)*)"
    |'(?P<single>(?:[^'\\]|\\.)*)'
    |(?P<mark>[;{}])
    |(?P<bare>(?:\\.|\$\{\w+\}|[^\s;{}"'\\])(?:\\.|\$\{\w+\}|[^\s;{}\\])*))""",
    re.VERBOSE | re.DOTALL,
)


class BrokenSnippet(PaasError):
    """The directives in the repository cannot be used."""


class Quoted(str):
    """A word that stood in quotes: a parenthesis in it belongs to it."""

    __slots__ = ()


@dataclass(frozen=True)
class Directive:
    """One directive, its words unquoted; `body` is None where it ends with a semicolon."""

    words: tuple[str, ...]
    body: tuple[Directive, ...] | None = None

    @property
    def name(self) -> str:
        return self.words[0]


def rendered(text: str, upstream: str, ours: Iterable[str], value: str | None = None) -> str:
    """The snippet as it may stand in a server block of the app.

    `upstream` is what `http://app` stands for, `ours` the header names that the proxy sets
    itself, `value` what `@value@` does. A location passes to the app unless it says
    otherwise. Raises `BrokenSnippet`.
    """
    block = parse(text) if value is None else filled(parse(text), value)
    return "".join(_lines(block, upstream, frozenset(name.lower() for name in ours), ""))


def filled(block: Iterable[Directive], value: str) -> tuple[Directive, ...]:
    """The directives with `value` for `@value@`, within the words that there are.

    Raises `BrokenSnippet` for one that nginx would read anything into: a backslash could
    end the quotes around it, a dollar names a variable.
    """
    if not value.isprintable() or set(value) & {"\\", "$"}:
        raise BrokenSnippet("The value has characters that nginx reads something into")
    return tuple(
        Directive(
            (each.name, *(type(word)(word.replace(VALUE, value)) for word in each.words[1:])),
            None if each.body is None else filled(each.body, value),
        )
        for each in block
    )


def parse(text: str) -> tuple[Directive, ...]:
    """The directives of a snippet, all of them allowed. Raises `BrokenSnippet`."""
    _check_characters(text)
    return tuple(_block(_tokens(text), 0))


def _check_characters(text: str) -> None:
    if len(text.encode("utf-8", "surrogateescape")) > MAX_BYTES:
        raise BrokenSnippet(f"The proxy's snippet is longer than {MAX_BYTES // 1024} KiB")
    if any(not character.isprintable() and character not in "\n\r\t" for character in text):
        raise BrokenSnippet("The proxy's snippet has characters that are not text")


def _tokens(text: str) -> Iterator[tuple[str, bool, int]]:
    """Each token, whether it was quoted or a word, and its line."""
    position, end = 0, len(text.rstrip())
    while position < end:
        match = TOKEN.match(text, position)
        line = text.count("\n", 0, position) + 1
        if match is None:
            raise BrokenSnippet(f"The proxy's snippet has an open quote in line {line}")
        position = match.end()
        kind = match.lastgroup or ""
        if kind != "comment":
            line = text.count("\n", 0, match.start(kind)) + 1
            text_of = Quoted if kind in ("double", "single") else str
            yield text_of(match[kind]), kind != "mark", line


def _block(tokens: Iterator[tuple[str, bool, int]], depth: int) -> Iterator[Directive]:
    words: list[str] = []
    line = 0
    for text, is_word, line in tokens:
        if is_word:
            words.append(text)
        elif text == "}":
            if words or not depth:
                raise BrokenSnippet(f"The proxy's snippet has a stray }} in line {line}")
            return
        elif not words:
            raise BrokenSnippet(f"The proxy's snippet has a stray {text} in line {line}")
        else:
            if depth == DEEPEST:
                raise BrokenSnippet(f"The proxy's snippet is nested too deep in line {line}")
            body = tuple(_block(tokens, depth + 1)) if text == "{" else None
            yield _allowed(Directive(tuple(words), body), line)
            words = []
    if words or depth:
        what = f"{words[0]!r} is not ended" if words else "a block is not closed"
        raise BrokenSnippet(f"The proxy's snippet stops early: {what}, in line {line}")


def _allowed(directive: Directive, line: int) -> Directive:
    if any(OURS.search(word) for word in directive.words):
        raise BrokenSnippet(
            f"Line {line} of the proxy's snippet names a variable that is the proxy's own",
            resolution="Those begin with paas_: use another name.",
        )
    if directive.body is not None:
        if directive.name in BLOCKS:
            return directive
    elif directive.name in PLAIN | {"proxy_set_header"} or directive.words == ("proxy_pass", APP):
        return directive
    elif directive.name == "proxy_pass":
        raise BrokenSnippet(
            f"Line {line} of the proxy's snippet passes requests elsewhere",
            resolution=f"The one that can be named is the app itself: proxy_pass {APP};",
        )
    raise BrokenSnippet(
        f"Line {line} of the proxy's snippet: {directive.name[:60]!r} cannot be used",
        resolution=f"These can: {', '.join(sorted(PLAIN | BLOCKS))}, proxy_set_header, "
        f"proxy_pass {APP}.",
    )


def _lines(
    block: Iterable[Directive], upstream: str, ours: frozenset[str], indent: str
) -> Iterator[str]:
    directives = list(block)
    if any(each.name == "proxy_set_header" for each in directives):
        # One of them in a block hides all from outside of it (ngx_http_proxy_module).
        yield f"{indent}include headers.conf;\n"
    for each in directives:
        if each.name == "proxy_set_header" and each.words[1:2] and each.words[1].lower() in ours:
            raise BrokenSnippet(f"The header {each.words[1]} is set by the proxy itself")
        yield from _line(each, upstream, ours, indent)


def _line(each: Directive, upstream: str, ours: frozenset[str], indent: str) -> Iterator[str]:
    words = [upstream if each.name == "proxy_pass" and word == APP else word for word in each.words]
    if each.body is None:
        yield f"{indent}{_joined(words)};\n"
        return
    # The condition of an `if` is one argument in parentheses, whose quotes are its own.
    head = f"if {' '.join(map(_condition, words[1:]))}" if each.name == "if" else _joined(words)
    yield f"{indent}{head} {{\n"
    yield from _lines(each.body, upstream, ours, indent + "    ")
    ends = {"return", "proxy_pass"} & {inner.name for inner in each.body}
    if each.name == "location" and not ends:
        yield f"{indent}    proxy_pass {upstream};\n"
    yield f"{indent}}}\n"


def _joined(words: Iterable[str]) -> str:
    first, *others = words
    return " ".join([first, *map(_quoted, others)])


def _condition(word: str) -> str:
    if isinstance(word, Quoted):
        return _quoted(word)
    if re.fullmatch(r"[\w$()=!~*^/.:|+?\\\[\],&%@<>-]+", word):
        return word
    opening = "(" if word.startswith("(") else ""
    closing = ")" if word.endswith(")") else ""
    return opening + _quoted(word.removeprefix("(").removesuffix(")")) + closing


def _quoted(word: str) -> str:
    """One word of nginx's, whatever is in it. Escapes were left as they came."""
    bare = r"[\w$=!~*^/.:|+?()\\\[\],&%@<>-]+"
    plain = not isinstance(word, Quoted) and not word.startswith("\\")
    if plain and re.fullmatch(bare, word):
        return word
    inner = re.sub(r'\\.|"', lambda found: '\\"' if found[0] == '"' else found[0], word, flags=re.S)
    return f'"{inner}"'
