"""A setting of `proxy:set` that a plugin adds: directives, with a value where it says so.

Nothing of the plugin runs for it. The directives are held against the same list as those of
a repository's `paas.nginx.conf`, and the value never becomes more than part of one word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from paas.model.names import shown
from paas.model.settings import InvalidSetting, Setting
from paas.plugin.fields import Fields
from paas.proxy.snippet import VALUE, BrokenSnippet, Directive, filled, parse

NAME = re.compile(r"(?=.{1,60}$)[a-z][a-z0-9]*(-[a-z0-9]+)*")
HELP = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]{1,200}")
CHOICE = re.compile(r"[A-Za-z0-9_./:=*+-]{1,100}")
MAX_TEXT = 2000

KINDS = {
    "text": re.compile(r"[^\\$\x00-\x1f\x7f]{1,2000}"),
    "number": re.compile(r"[0-9]{1,9}"),
    "host": re.compile(r"[A-Za-z0-9.*:-]{1,253}"),
    "url": re.compile(r"https?://[A-Za-z0-9._~:/?#@!&'()*+,;=%\[\]-]{1,1000}"),
    "switch": re.compile(r"on|off"),
    "choice": CHOICE,
}


@dataclass(frozen=True)
class ProxyRule:
    """One such setting. A `switch` has no value in its directives: they are there when on."""

    name: str
    help: str
    kind: str
    choices: tuple[str, ...]
    directives: str

    def setting(self) -> Setting[str]:
        """The row for the table of settings; empty is not set."""
        return Setting(self.name, self._parse, "", self.help, app=True)

    def _parse(self, text: str) -> str:
        if self.kind == "choice" and text not in self.choices:
            raise InvalidSetting(f"{shown(text)} is not one of {', '.join(self.choices)}")
        if not KINDS[self.kind].fullmatch(text):
            raise InvalidSetting(f"{shown(text)} is not a {self.kind} that {self.name} can have")
        return text

    def applies(self, value: str) -> bool:
        """Whether an app with this value gets the directives."""
        return bool(value) and not (self.kind == "switch" and value == "off")


def proxy_rule(table: Fields, plugin: str) -> ProxyRule:
    """Read a `[[proxy]]` of a plugin of that name. Raises `ValueError`."""
    rule = ProxyRule(
        name=table.text("name", pattern=NAME),
        help=table.text("help", pattern=HELP),
        kind=table.choice("type", tuple(KINDS)),
        choices=table.words("choices", default=(), pattern=CHOICE),
        directives=table.text("directives"),
    )
    if rule.name != plugin and not rule.name.startswith(f"{plugin}-"):
        raise table.error("name", f"must begin with the plugin's: {plugin}-{rule.name}")
    if (rule.kind == "choice") != bool(rule.choices):
        raise table.error("choices", "are what a choice has, and nothing else")
    try:
        block = parse(rule.directives)
        filled(block, "x")
    except BrokenSnippet as error:
        raise table.error("directives", f"cannot be used: {error.brief}") from None
    if not block:
        raise table.error("directives", "are missing")
    if any(VALUE in name for name in _names(block)):
        raise table.error("directives", f"cannot have {VALUE} as the name of a directive")
    if (VALUE in rule.directives) == (rule.kind == "switch"):
        raise table.error("directives", f"must hold {VALUE}, unless it is a switch")
    table.finish()
    return rule


def _names(block: tuple[Directive, ...]) -> list[str]:
    return [name for each in block for name in (each.name, *_names(each.body or ()))]
