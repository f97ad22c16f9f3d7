"""plugin.toml of all plugins: what is read, what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.host.content import content
from paas.model.limits import MIB
from paas.plugin.catalog import Catalog
from paas.plugin.declaration import MAX_MANIFEST, parse_declaration
from paas.plugin.grants import grants, more
from paas.plugin.manifest import InvalidManifest

EXAMPLES = Path(__file__).parents[2] / "fixtures/plugins"

GOOD = """
[plugin]
name = "my-policy"
title = "Policy"
description = "Refuses"
version = "1.2"
[run]
packages = ["jq"]
memory = "512m"
[permissions]
network = true
source = true
config = ["TOKEN", "AWS_*"]
set-config = ["VAULT_*"]
[[setting]]
name = "URL"
help = "Where"
[[hook]]
on = "pre-build"
run = ["bin/check"]
veto = true
seconds = 60
[[hook]]
on = "post-deploy"
run = ["bin/tell"]
[[command]]
name = "report"
summary = "Report"
role = "viewer"
app = "required"
run = ["bin/report"]
[[proxy]]
name = "my-policy-csp"
help = "A header"
type = "text"
directives = 'add_header CSP "@value@";'
[builder]
files = ["mix.exs"]
run = ["bin/build"]
"""


def test_what_is_declared_is_what_is_read() -> None:
    found = parse_declaration(GOOD, "p.toml")
    assert (found.name, found.version, found.packages) == ("my-policy", "1.2", ("jq",))
    assert found.memory == 512 * MIB
    [first, second] = found.hooks
    assert (first.veto, first.program.seconds, first.program.run) == (True, 60, ("bin/check",))
    assert (second.veto, second.program.seconds) == (False, 30)
    may = found.permissions
    assert [may.sees(key) for key in ("TOKEN", "TOKENS", "AWS_", "AWS_KEY")] == [
        True, False, True, True,
    ]  # fmt: skip
    assert [may.sets(key) for key in ("VAULT_X", "TOKEN")] == [True, False]


def test_all_that_it_may_touch_is_said_a_line_each() -> None:
    assert grants(parse_declaration(GOOD, "p.toml")) == (
        "reaches the internet",
        "reads the files of every push",
        "reads the config var TOKEN of every app",
        "reads the config vars AWS_* of every app",
        "sets the config vars VAULT_* of every app",
        "takes up to 512 MiB of memory when it runs",
        "is asked by pre-build, for up to 60 s, and may refuse",
        "is told by post-deploy",
        "adds the command my-policy:report, for whoever is viewer of an app",
        'adds the proxy setting my-policy-csp (text): add_header CSP "@value@";',
        "builds apps that have mix.exs",
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"AWS_*"', '"*"'),
        ("network = true", "network = true\n"),
        ("veto = true", "veto = false"),
        ("seconds = 60", "seconds = 61"),
        ('"viewer"', '"deployer"'),
        ("add_header CSP", "add_header XSP"),
        ('"mix.exs"', '"Dockerfile"'),
        ('"512m"', '"513m"'),
    ],
)
def test_whatever_gives_it_more_or_other_things_is_a_new_line(old: str, new: str) -> None:
    before = grants(parse_declaration(GOOD, "p"))
    changed = grants(parse_declaration(GOOD.replace(old, new), "p"))
    assert bool(more(changed, before)) is (old != new.strip())


def test_what_gives_it_less_needs_nobody() -> None:
    less = (
        GOOD.replace("network = true\n", "").replace('"AWS_*"', "").replace('"TOKEN", ', '"TOKEN"')
    )
    assert more(grants(parse_declaration(less, "p")), grants(parse_declaration(GOOD, "p"))) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[plugin]", "[plugin", "p.toml: not valid TOML"),
        ("[run]", "[rum]", "p.toml: rum is not known; there are"),
        ('"my-policy"', '"My"', "plugin.name cannot be 'My'"),
        ('"my-policy"', '"../../etc"', "plugin.name cannot be '../../etc'"),
        ('"my-policy"', '"a-"', "plugin.name cannot be 'a-'"),
        ('"Policy"', '"Po\\u001b[2Jlicy"', "plugin.title cannot be"),
        ('"Policy"', '"Po\\u202elicy"', "plugin.title cannot be"),
        ('"Refuses"', '"two\\nlines"', "plugin.description cannot be"),
        ('"1.2"', "1.2", "plugin.version must be a text"),
        ('version = "1.2"', "python = true", "plugin.python is not known"),
        ('["jq"]', '["jq; rm -rf /"]', "run.packages cannot have 'jq; rm -rf /'"),
        ('["jq"]', '["--allow"]', "run.packages cannot have '--allow'"),
        ('packages = ["jq"]', 'image = "x\\nRUN id"', "run.image cannot be"),
        ('packages = ["jq"]', 'image = "x"\npackages = ["jq"]', "run.packages are put on the"),
        ('"512m"', '"9000m"', "run.memory cannot be more than 2048m"),
        ("network = true", 'network = "yes"', "permissions.network must be true or false"),
        ('"TOKEN"', '"TO KEN"', "permissions.config cannot have 'TO KEN'"),
        ('"TOKEN"', '"A*B"', "permissions.config cannot have 'A*B'"),
        ('"URL"', '"PATH"', "setting[0].name cannot be 'PATH': it has a meaning already"),
        ('"URL"', '"PAAS_HOOK"', "setting[0].name cannot be 'PAAS_HOOK'"),
        ('"pre-build"', '"pre-bild"', "hook[0].on cannot be 'pre-bild'; there are pre-build,"),
        ('"post-deploy"', '"pre-build"', "hook has pre-build twice"),
        ('"pre-build"', '"post-create"', "hook[0].veto cannot be true: post-create is told"),
        ("seconds = 60", "seconds = 6000", "hook[0].seconds must be a whole number from 1 to 300"),
        ('["bin/check"]', "[]", "hook[0].run must not be empty"),
        ('["bin/check"]', '"bin/check"', "hook[0].run must be a list of texts"),
        ('["bin/check"]', '["bin/\\u0000"]', "hook[0].run cannot have"),
        ('role = "viewer"\n', "", "command[0].role is missing"),
        ('"viewer"', '"anybody"', "command[0].role cannot be 'anybody': it is one of viewer"),
        ('app = "required"\n', "", "command[0].app is missing"),
        ('"report"', '"re:port"', "command[0].name cannot be 're:port'"),
        ('"my-policy-csp"', '"max-body"', "proxy[0].name must begin with the plugin's: my-policy-"),
        ('"text"', '"regex"', "proxy[0].type cannot be 'regex': it is one of text"),
        ("add_header CSP", "include /etc", "proxy[0].directives cannot be used: Line 1"),
        ('"@value@"', '"x"', "proxy[0].directives must hold @value@"),
        ("add_header CSP", "add_@value@ CSP", "proxy[0].directives cannot be used"),
        ('["mix.exs"]', '["../mix.exs"]', "builder.files cannot have '../mix.exs'"),
        ("[builder]", "[[builder]]", "builder must be a table"),
        ("[[command]]", "[command]", "command must be an array of tables"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_field(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(InvalidManifest) as raised:
        parse_declaration(GOOD.replace(old, new), "p.toml")
    assert message in raised.value.brief
    assert "plugins/README.md" in raised.value.resolution


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 20000,
        "x = " + "{a = " * 20000,
        "[plugin]\n" + "a" * MAX_MANIFEST,
        "a." * 5000 + "b = 1",
        "[plugin]\nname = 1e400\n",
        "\0",
        "[plugin]\nname = 'x'\ntitle = 'x'\ndescription = 'x'\n",
    ],
)
def test_a_hostile_document_is_an_error_like_any(text: str) -> None:
    with pytest.raises(InvalidManifest):
        parse_declaration(text, "p.toml")


def test_the_bundled_ones_and_the_examples_are_right() -> None:
    for path in sorted(content("plugins").glob("*/plugin.toml")):
        assert parse_declaration(path.read_text(), str(path), bundled=True).name == path.parent.name
    for path in sorted(EXAMPLES.glob("*/plugin.toml")):
        assert parse_declaration(path.read_text(), str(path)).name == path.parent.name


def test_all_that_a_datastore_may_say_an_installed_one_may() -> None:
    text = (EXAMPLES / "parrot/plugin.toml").read_text()
    found = parse_declaration(text + "\n[rotation]\nnew-user = true\n", "p")
    assert found.service is not None
    assert found.service.new_user
    for wrong in ("[rotaton]\nnew-user = true\n", "[rotation]\nnew = true\n"):
        with pytest.raises(InvalidManifest, match="is not known"):
            parse_declaration(f"{text}\n{wrong}", "p")
    with pytest.raises(InvalidManifest, match="link is not known"):
        parse_declaration(GOOD + "\n[link]\n", "p")


@pytest.mark.parametrize(
    "table",
    [
        '[[command]]\nname = "create"\nsummary = "x"\nrun = ["x"]\nrole = "viewer"\napp = "none"\n',
        '[[extra]]\nname = "backup"\nsummary = "x"\nrun = ["x"]\n',
    ],
)
def test_a_datastore_adds_no_command_that_each_has(table: str) -> None:
    """Two of one name, and nobody had any help any more."""
    text = (EXAMPLES / "parrot/plugin.toml").read_text()
    with pytest.raises(InvalidManifest, match="every datastore has that one already"):
        parse_declaration(f"{text}\n{table}", "p")


def test_an_installed_datastore_is_one_beside_the_bundled_and_takes_no_name_of_theirs() -> None:
    folders = {"parrot": EXAMPLES / "parrot", "redis": EXAMPLES / "parrot"}
    catalog = Catalog(content("plugins"), lambda: folders)
    assert catalog.get("parrot").folder == EXAMPLES / "parrot"
    assert catalog.get("redis").folder == content("plugins") / "redis"
    found = catalog.by_addon("parrots")
    assert found is not None
    assert found.manifest.name == "parrot"
