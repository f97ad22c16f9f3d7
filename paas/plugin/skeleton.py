"""The skeleton that `plugin:new` writes: a plugin that works, to be changed."""

from __future__ import annotations

from paas.model.names import InvalidName, shown
from paas.plugin.declaration import NAME

MANIFEST = """\
[plugin]
name = "@NAME@"
title = "@TITLE@"
description = "Says hello to every push"
version = "0.1"

[run]
# What bin/ runs in: Debian packages on the stack, or `image`, or a Dockerfile beside this
# file that copies it to /plugin.
packages = ["jq"]

[permissions]
# All that is not here is refused: network = true (the internet), source = true (the pushed
# files, in /source), config = ["KEY"] (values of config vars), set-config = ["KEY"].

# Every hook: paas plugin:hooks. With `veto = true` an asked one may refuse, and its failure
# refuses too.
[[hook]]
on = "pre-build"
run = ["bin/pre-build"]
veto = true
seconds = 10

[[command]]
name = "hello"
summary = "Greet an app"
role = "viewer"
app = "required"
run = ["bin/hello"]
"""

PRE_BUILD = """\
#!/bin/sh
# Standard input: the call as JSON. Standard output: the answer as JSON, or nothing.
# Standard error: lines for whoever pushes. PAAS_PLUGIN, PAAS_HOOK, PAAS_APP are set.
set -eu
branch=$(jq --raw-output .branch)
echo "Hello $PAAS_APP, from $branch" >&2
case $branch in
    wip/*) jq --null-input --arg branch "$branch" '{refuse: ($branch + " is not for deploying")}' ;;
esac
"""

HELLO = """\
#!/bin/sh
# Standard input: the call as JSON. What is said on standard output is the command's.
set -eu
jq --raw-output '"Hello \\(.app): release \\(.release), asked by \\(.actor)"'
echo "words: $*"
"""

README = """\
# @NAME@

A plugin for paas: `plugin.toml` says what it does and all that it may touch.

    paas plugin:install /path/to/@NAME@    # or the URL of its git repository
    paas plugin:enable @NAME@
"""


def skeleton(name: str) -> dict[str, str]:
    """The files of a new plugin, by path; those in bin/ are programs. Raises `InvalidName`."""
    if not NAME.fullmatch(name):
        raise InvalidName(
            f"{shown(name)} is not a name for a plugin",
            resolution="Use up to 30 lower case letters, digits and dashes.",
        )
    files = {
        "plugin.toml": MANIFEST,
        "bin/pre-build": PRE_BUILD,
        "bin/hello": HELLO,
        "README.md": README,
    }
    title = name.replace("-", " ").capitalize()
    return {
        path: text.replace("@NAME@", name).replace("@TITLE@", title) for path, text in files.items()
    }
