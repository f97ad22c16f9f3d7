"""Plugins as people meet them: shown, enabled, asked, told, updated, removed.

One example of each kind is in `tests/fixtures/plugins`; nothing of them is mocked.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paas.buildpack.source import GitSource
from paas.deploy import fetching
from paas.deploy.fetching import Fetcher, FetchFailed
from paas.model.report import Silent
from tests.push import apps, gitserver
from tests.push.app import App, new_app
from tests.push.outcome import eventually
from tests.push.plugins import SERVE, change, enabled, example, known, published
from tests.push.server import Server

pytestmark = pytest.mark.turns(2)


@pytest.fixture(scope="module")
def shop(server: Server) -> Iterator[App]:
    app = new_app(server, "shop")
    app.push(SERVE).ok()
    yield app
    server.paas("apps:destroy", app.name, "--force").ok()


def heard(server: Server) -> list[dict[str, Any]]:
    """The calls that `watch` was told, as it wrote them into its log."""
    lines = server.paas("plugin:logs", "watch").ok().out.splitlines()
    return [json.loads(line) for line in lines if line.strip().startswith("{")]


def test_one_without_a_veto_harms_no_deploy(server: Server, shop: App) -> None:
    with enabled(server, "watch"):
        commit = ""
        for what, line in (
            ("refuse", "The plugin watch would refuse this: I would not"),
            ("fail", "The plugin watch (pre-build) failed: it exited with code 3"),
            ("hang", "The plugin watch (pre-build) failed: it took longer than 4 s"),
            ("garbage", "The plugin watch (pre-build) failed: its answer is not JSON"),
        ):
            assert line in shop.push({"WATCH": what}).ok().text
            commit = commit or shop.repository.head()
        shop.push({"WATCH": "", "Dockerfile": apps.STACK + "RUN exit 7\n"}).failed()
        # Told of it all by the supervisor, in its own time, out of the journal.
        told = eventually(lambda: len(found := heard(server)) == 5 and found)
        assert [each["hook"] for each in told] == ["post-deploy"] * 4 + ["deploy-failed"]
        assert {(each["app"], each["actor"]) for each in told} == {(shop.name, "dev")}
        assert told[0]["detail"].endswith(f"Deploy {commit[:8]}")
        assert told[4]["detail"].startswith("build ")
        # One that fails is said where one looks, and keeps nothing from happening.
        shop.ssh("config:set --no-restart {} COLOUR=red").ok()
        error = eventually(lambda: known(server, "watch")["error"])
        assert error == "config-changed: it exited with code 9"
    shop.push({"Dockerfile": SERVE["Dockerfile"]}).ok()


# -- commands, proxy settings, builders, services ----------------------------------------------


def test_commands_are_for_the_roles_that_they_name(server: Server, shop: App) -> None:
    shop.ssh("config:set --no-restart {} TOKEN=t0ken").ok()
    assert server.ssh("greeter:server").code == 1
    with enabled(server, "greeter"):
        assert "greeter:hello" in server.ssh("help").ok().out
        said = shop.ssh("greeter:hello {} a --b 'c d'").ok().out
        document, words = said.splitlines()
        assert words == "words: a --b c d"
        call = json.loads(document)
        assert (call["command"], call["app"], call["actor"]) == ("hello", shop.name, "dev")
        assert call["words"] == ["a", "--b", "c d"]
        assert "config" not in call
        assert json.loads(shop.ssh("greeter:token {}").ok().out.splitlines()[0])["config"] == {
            "TOKEN": "t0ken"
        }
        failed = server.ssh("greeter:server fail").failed(42)
        assert (failed.out, failed.err) == ("", "no\n")
        assert (
            "The plugin greeter was ended: it took longer than 4 s"
            in server.ssh("greeter:server hang").failed().text
        )
    assert "greeter" not in server.ssh("help").ok().out


def test_settings_of_the_proxy_are_served_until_it_is_disabled(server: Server, shop: App) -> None:
    def header() -> str | None:
        done = subprocess.run(
            ["curl", "-sS", "-D-", "-o/dev/null", "-H", f"Host: {shop.name}.test.example",
             f"http://127.0.0.1:{server.http_port}/"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        lines = [line.partition(": ") for line in done.stdout.splitlines()]
        return next((v for k, _, v in lines if k.lower() == "content-security-policy"), None)

    assert "The proxy has no setting" in shop.ssh("proxy:set {} headers-csp x").failed(20).text
    with enabled(server, "headers"):
        policy = "default-src 'self'; img-src *"
        shop.ssh(f'proxy:set {{}} headers-csp "{policy}"').ok()
        assert eventually(lambda: header() == policy)
        assert policy in shop.ssh("proxy:report {}").ok().out
        for evil in ('x"; return 200 "x', "x; include /etc/shadow", "} server {"):
            shop.ssh(f"proxy:set {{}} headers-csp '{evil}'").ok()
            assert eventually(lambda evil=evil: header() == evil)  # type: ignore[misc]
        assert "not a text" in shop.ssh("proxy:set {} headers-csp '$document_root'").failed().text
        shop.ssh("proxy:set {} headers-hidden on").ok()
        eventually(lambda: shop.get("/hidden").status == 404)
        server.paas("plugin:disable", "headers").ok()
        eventually(lambda: header() is None and shop.get("/hidden").status == 200)
        server.paas("plugin:enable", "headers").ok()
        eventually(lambda: shop.get("/hidden").status == 404)
    assert shop.get("/hidden").status == 200


def test_a_builder_builds_what_it_knows(server: Server, app: App) -> None:
    app.repository.commit({"shout.txt": "hello there"})
    with enabled(server, "shout"):
        pushed = app.push().ok()
        assert f"Building {app.name} by the plugin shout" in pushed.text
        assert "shouting HELLO THERE" in pushed.text
        assert app.serves("HELLO THERE")
        refused = app.push({"shout.txt": "broken"}).failed()
        assert "The plugin shout cannot build this: it exited with code 1" in refused.text
        assert app.serves("HELLO THERE")
        # What the repository says itself goes before what a plugin recognises.
        assert "from its Dockerfile" in app.push(SERVE).ok().text
        app.ssh("builder:set {} selected plugin:shout").ok()
        assert "by the plugin shout" in app.push({"shout.txt": "again", "Procfile": ""}).ok().text
    missing = app.push({"X": "1"}).failed()
    assert "The builder shout was selected, and no enabled plugin has it" in missing.text


def test_one_in_python_checks_counts_builds_and_answers(server: Server, app: App) -> None:
    app.repository.commit({"census.txt": "one\n", "two words": "2\n"})
    with enabled(server, "census"):
        refused = app.push().failed()
        assert "The plugin census (pre-build) refuses: there are spaces in names" in refused.text
        assert "two words" in refused.text
        app.repository.git("mv", "two words", "two").ok()
        # What it raises is for whoever pushes to read, and refuses as it declares.
        raised = app.push({"two": b"\xff"})
        assert raised.code == 1
        assert "UnicodeDecodeError" in raised.text
        assert "The plugin census (pre-release) refuses: it failed: it exited with" in raised.text
        pushed = app.push({"two": "2\n"}).ok()
        assert f"Building {app.name} by the plugin census" in pushed.text
        assert "6 letters" in pushed.text
        assert app.serves("2 files")
        told = json.loads(app.ssh("census:show {} a 'b c'").ok().out)
        assert told == {"app": app.name, "release": 1, "words": ["a", "b c"]}


def test_a_datastore_is_a_toml_and_has_every_command(server: Server, app: App) -> None:
    with enabled(server, "parrot"):
        try:
            server.ssh("parrot:create polly").ok()
            assert server.ssh("parrot:connect polly").ok().out == "pretty\n"
            server.ssh(f"apps:create {app.name}").ok()
            app.ssh("parrot:link polly {}").ok()
            assert "parrot://" in app.ssh("config:get {} PARROT_URL").ok().out
            for verb in ("disable", "uninstall"):
                refused = server.paas(f"plugin:{verb}", "parrot", "--force").failed()
                assert "There are services of parrot: polly" in refused.text
            app.ssh("parrot:unlink polly {}").ok()
        finally:
            server.ssh("parrot:destroy polly --force").ok()
    assert server.ssh("parrot:list").code == 1


# -- from git: pinned, updated, hostile --------------------------------------------------------


def test_it_is_pinned_to_a_commit_and_more_has_to_be_allowed(server: Server, shop: App) -> None:
    folder = server.folder / "plugin-git"
    folder.mkdir()
    files = example("greeter")
    work = published(folder, "greeter.git", files, server)
    first = work.head()
    work.git("push", "-q", "paas", "main:refs/tags/v1").ok()
    server.paas("git:allow-host", "127.0.0.1").ok()
    try:
        with gitserver.serving(folder) as url:
            inside = url.replace("127.0.0.1", "localhost")
            refused = server.ssh(f"plugin:install {inside}/greeter.git").failed()
            assert "is not a public one" in refused.text
            installed = server.ssh(f"plugin:install {url}/greeter.git --committish v1").ok()
            assert "adds the command greeter:hello, for whoever is viewer" in installed.text
            assert shop.ssh("greeter:hello {}").code == 1
            again = server.ssh(f"plugin:install {url}/greeter.git").failed()
            assert "is installed already" in again.text
            server.ssh("plugin:enable greeter").ok()
            assert "words:" in shop.ssh("greeter:hello {}").ok().out

            second = change(work, {"bin/hello": "#!/bin/sh\necho second\n"})
            assert "is up to date" in server.ssh("plugin:update greeter").ok().text
            assert known(server, "greeter")["active"] == first
            server.ssh("plugin:update greeter --committish main").ok()
            assert known(server, "greeter")["active"] == second
            assert shop.ssh("greeter:hello {}").ok().out == "second\n"

            more = files["plugin.toml"].replace("[permissions]", "[permissions]\nnetwork = true")
            third = change(work, {"plugin.toml": more, "bin/hello": "#!/bin/sh\necho third\n"})
            update = server.ssh("plugin:update greeter").ok()
            assert f"It wants more, so {second[:8]} is used until you allow:" in update.text
            assert "it reaches the internet" in update.text
            assert known(server, "greeter")["active"] == second
            assert known(server, "greeter")["commit"] == third
            assert "enabled, update waits" in server.paas("plugin:list").ok().out
            assert shop.ssh("greeter:hello {}").ok().out == "second\n"
            server.ssh("plugin:enable greeter").ok()
            assert shop.ssh("greeter:hello {}").ok().out == "third\n"

            for text, words in (
                ("[plugin]\nname = 'greeter'\n", "plugin.toml: plugin.title is missing"),
                (files["plugin.toml"].replace('"greeter"', '"other"'), "It is called other now"),
            ):
                change(work, {"plugin.toml": text})
                assert words in server.ssh("plugin:update greeter").failed().text
                assert known(server, "greeter")["active"] == third
            kept = list((server.layout.plugins / "greeter").iterdir())
            assert [path.name for path in kept] == [third]
    finally:
        server.ssh("plugin:uninstall greeter --force")
        shutil.rmtree(folder)
    assert list(server.layout.plugins.iterdir()) == []


def test_hostile_repositories_leave_nothing(server: Server) -> None:
    folder = server.folder / "hostile-git"
    folder.mkdir()
    good = example("greeter")
    link: dict[str, str | bytes | Path] = {**good, "bin/shadow": Path("/etc/shadow")}
    manifest: dict[str, str | bytes | Path] = {**good, "plugin.toml": Path("/etc/shadow")}
    huge: dict[str, str | bytes | Path] = {**good, "huge": b"\0" * (20 << 20)}
    called = {
        name: {**good, "plugin.toml": good["plugin.toml"].replace('"greeter"', f'"{name}"')}
        for name in ("ps", "secret-scan")
    }
    repositories = {
        "link": (link, "'bin/shadow' is a symbolic link"),
        "manifest": (manifest, "'plugin.toml' is a symbolic link"),
        "huge": (huge, "'huge' too large"),
        "none": ({"x": "y"}, "There is no plugin.toml at the top of it"),
        "ours": (called["ps"], "ps is the name of something that paas has itself"),
        "scan": (called["secret-scan"], "secret-scan is the name of something that paas has"),
    }
    for name, (files, _) in repositories.items():
        published(folder, name, files, server)
    work = published(folder, "submodule", good, server)
    work.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},lib").ok()
    work.git("commit", "-q", "-m", "x").ok()
    work.push().ok()
    server.paas("git:allow-host", "127.0.0.1").ok()
    try:
        with gitserver.serving(folder) as url:
            for name, (_, words) in repositories.items():
                assert words in server.ssh(f"plugin:install {url}/{name}").failed().text
            assert (
                "lib is a submodule" in server.ssh(f"plugin:install {url}/submodule").failed().text
            )
            assert (
                "has no v9"
                in server.ssh(f"plugin:install {url}/link --committish v9").failed().text
            )
            assert server.ssh(f"plugin:install {url}/missing").failed().text
            server.ssh("plugin:install /etc").failed()
            server.ssh("plugin:install file:///etc").failed()
    finally:
        server.paas("git:allow-host", "127.0.0.1", "--remove")
        shutil.rmtree(folder)
    assert list(server.layout.plugins.iterdir()) == []
    assert (
        json.loads(server.paas("plugin:list", "--format", "json").ok().out)[0]["state"] == "bundled"
    )


# dulwich leaves to the collector what it could not write.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_repository_without_end_or_answer_is_given_up(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `plugin:install` does first, with less patience than it has there."""
    folder = server.folder / "endless-git"
    folder.mkdir()
    published(folder, "large", {"noise": os.urandom(3 << 20)}, server)
    fetcher = Fetcher(server.layout, ["127.0.0.1"])
    monkeypatch.setattr(fetching, "MAX_PACK", 2 << 20)
    with gitserver.serving(folder) as url, gitserver.silent() as nothing:
        for address, patience, words in (
            (f"{url}/large", 60.0, "is larger than 2 MiB"),
            (f"{nothing}/x", 1.0, "could not be fetched in 1 seconds"),
        ):
            monkeypatch.setattr(fetching, "TREE_SECONDS", patience)
            began = time.monotonic()
            with (
                pytest.raises(FetchFailed, match=words),
                fetcher.tree(GitSource(address), server.layout.plugins, Silent()),
            ):
                pytest.fail("It was fetched")
            assert time.monotonic() - began < 60
            assert list(server.layout.plugins.iterdir()) == []
    shutil.rmtree(folder)


def test_the_skeleton_works_as_it_comes_and_the_bundled_scan_refuses(
    server: Server, shop: App
) -> None:
    archive = server.ssh("plugin:new hello-you").ok().stdout
    subprocess.run(["tar", "x", "-C", server.folder], input=archive, check=True)
    server.paas("plugin:install", str(server.folder / "hello-you")).ok()
    server.paas("plugin:enable", "hello-you").ok()
    server.paas("plugin:enable", "secret-scan").ok()
    try:
        key = "-----BEGIN RSA " + "PRIVATE KEY-----\n"
        refused = shop.push({"id_rsa": key}).failed().text
        assert f"Hello {shop.name}, from main" in refused
        assert "The plugin secret-scan (pre-build) refuses: there are credentials in it" in refused
        assert "'id_rsa' has a private key" in refused
        shop.push({"id_rsa": "none"}).ok()
        assert "asked by dev" in shop.ssh("hello-you:hello {}").ok().out
    finally:
        for name in ("hello-you", "secret-scan"):
            server.paas("plugin:uninstall", name, "--force").ok()
