"""Pushes that never get as far as a container, each with the sentence that says why."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.push import apps
from tests.push.app import App
from tests.push.repository import Files
from tests.push.server import Server

BAD_TREES: dict[str, tuple[Files, list[str]]] = {
    "nothing that says how": ({"app.py": "print()"}, ["Dockerfile", "requirements.txt"]),
    "compose project": (
        {"compose.yaml": "services: {web: {build: .}}\n"},
        ["compose.yaml is not run here", "postgres:create", "storage:mount"],
    ),
    "Dockerfile is a link out": ({"Dockerfile": Path("/etc/passwd")}, ["Dockerfile"]),
    "Dockerfile is a climbing link": ({"Dockerfile": Path("../../x")}, ["Dockerfile"]),
    "syntax error": ({"Dockerfile": apps.STACK + "RUNN true\n"}, ["Dockerfile:2", "RUNN"]),
    "no FROM": ({"Dockerfile": "RUN true\n"}, ["Dockerfile:1", "FROM"]),
    "unknown stage": (
        {"Dockerfile": apps.STACK + "COPY --from=nobody /a /b\nCMD true\n"},
        ["nobody"],
    ),
    "merge conflict": (
        apps.plain(Procfile="web: a\n<<<<<<< HEAD\nweb: b\n=======\n"),
        ["Procfile:2", "merge conflict"],
    ),
    "Procfile line": (
        apps.plain(Procfile="web: a\nhello there\n"),
        ["Procfile:2", "type: command"],
    ),
    "Procfile twice": (apps.plain(Procfile="web: a\nweb: b\n"), ["Procfile:2", "twice"]),
    "app.json": (apps.plain(**{"app.json": "{"}), ["app.json"]),
    "failing RUN": (
        {"Dockerfile": apps.STACK + "RUN echo building >&2 && exit 42\nCMD true\n"},
        ["Dockerfile:2", "building", "42"],
    ),
    "a name that is no text": (
        {"Dockerfile": apps.STACK + "COPY caf* /x\n", os.fsdecode(b"caf\xe9"): Path("/etc/passwd")},
        ["Dockerfile:2", "leads out of the build context"],
    ),
    "missing COPY source": (
        {"Dockerfile": apps.STACK + "COPY nowhere.txt /x\nCMD true\n"},
        ["Dockerfile:2", "nowhere.txt"],
    ),
}


@pytest.mark.parametrize("name", BAD_TREES)
def test_a_tree_that_cannot_be_built_is_refused(server: Server, app: App, name: str) -> None:
    files, words = BAD_TREES[name]
    before = server.residue()
    pushed = app.push(files).failed()
    for word in words:
        assert word in pushed.text
    assert "pre-receive hook declined" in pushed.text
    server.settles_to(before)


def test_a_link_in_the_tree_that_leads_out_reads_nothing_of_the_server(app: App) -> None:
    """A link is copied as a link: what it names is looked up in the container."""
    files = apps.plain(**{"app.py": apps.fixture("plain")["app.py"]})
    outside: dict[str, Path | str] = {
        "absolute": Path("/etc/shadow"),
        "climbing": Path("../../../etc/shadow"),
    }
    app.repository.write(outside)
    app.repository.write(
        files | {"Dockerfile": files["Dockerfile"] + "RUN readlink absolute climbing\n"}
    )
    app.repository.commit()
    pushed = app.repository.push().ok()
    assert "/etc/shadow" in pushed.text
    assert "../../../etc/shadow" in pushed.text


def test_an_absolute_link_as_a_copy_source_stays_inside_the_tree(app: App) -> None:
    files: dict[str, str | Path] = {
        "Dockerfile": apps.STACK + "COPY link/shadow /stolen\nCMD true\n",
        "link": Path("/etc"),
    }
    app.repository.commit(files)
    pushed = app.repository.push().failed()
    assert "link/shadow" in pushed.text


def test_an_empty_repository_has_nothing_to_push(app: App) -> None:
    pushed = app.repository.push().failed()
    assert "src refspec main does not match any" in pushed.text


def test_an_empty_commit_has_no_files(app: App) -> None:
    app.repository.git("commit", "-q", "--allow-empty", "-m", "nothing").ok()
    assert "no files" in app.repository.push().failed().text


def test_a_tag_is_not_a_deploy(live: App) -> None:
    live.repository.git("tag", "-f", "v1").ok()
    pushed = live.repository.push("v1").failed()
    assert "not a branch" in pushed.text
    assert "git push paas" in pushed.text


def test_another_branch_is_refused_with_what_to_type(live: App) -> None:
    live.repository.git("branch", "-f", "topic").ok()
    pushed = live.repository.push("topic").failed()
    assert "git push paas topic:main" in pushed.text
    assert "topic" not in live.server.paas("releases", live.name).ok().out


def test_a_renamed_branch_deploys_behind_the_command_that_its_refusal_names(
    server: Server, app: App
) -> None:
    git, push = app.repository.git, app.repository.push
    git("checkout", "-q", "-b", "master").ok()
    app.repository.commit(apps.plain("1"))
    push("master").ok()
    git("branch", "-m", "main").ok()
    second = app.repository.commit(apps.plain("2"))
    refused = push("main").failed()
    assert "main is not the deploy branch, which is master" in refused.text
    [line] = [line for line in refused.text.splitlines() if "git:set" in line]
    _, typed, command = line.strip().partition(f": ssh {server.layout.user}@server ")
    assert typed
    assert "is not a branch name" in app.ssh("git:set {} deploy-branch a..b").failed(1).err
    assert app.serves("hello 1")
    assert "Setting deploy-branch to main" in server.ssh(command).ok().out
    assert "Released v2" in push("main").ok().text
    assert app.serves("hello 2")
    # The old one is gone, and a clone checks the new one out.
    listed = git("ls-remote", "--symref", "paas").ok().out
    assert listed.splitlines() == [
        "ref: refs/heads/main\tHEAD", f"{second}\tHEAD", f"{second}\trefs/heads/main"
    ]  # fmt: skip
    # Nor is it up to date when it deploys again with what was pushed then.
    app.ssh("git:set {} deploy-branch team/main").ok()
    app.repository.commit(apps.plain("3"))
    push("main:team/main").ok()
    assert app.serves("hello 3")
    assert "The next push decides" in app.ssh("git:set {} deploy-branch").ok().out
    assert "team/main" not in app.ssh("git:report {}").ok().out
    app.ssh("ps:rebuild {}").ok()
    push(f"{second}:refs/heads/main").ok()
    assert app.serves("hello 2")
    assert app.ssh("git:report {} --git-deploy-branch").ok().out == "main\n"
    clone = f"{app.name}-clone"
    try:
        app.ssh(f"apps:clone {{}} {clone} --skip-deploy").ok()
        assert server.ssh(f"git:report {clone} --git-deploy-branch").ok().out == "main\n"
    finally:
        server.paas("apps:destroy", clone, "--force")


def test_a_first_push_of_another_branch_than_the_server_s_is_refused_and_leaves_no_app(
    server: Server, app: App
) -> None:
    app.repository.commit(apps.plain())
    server.paas("git:set", "--global", "deploy-branch", "trunk").ok()
    try:
        refused = app.repository.push("main").failed()
        assert "main is not the deploy branch, which is trunk" in refused.text
        assert "git push paas main:trunk" in refused.text
        assert "git:set" not in refused.text, "of an app that is not there"
        app.ssh("git:report {}").failed(20)
        app.repository.push("main:trunk").ok()
    finally:
        server.paas("git:set", "--global", "deploy-branch").ok()
    assert app.serves("hello")


def test_a_deletion_is_refused(live: App) -> None:
    pushed = live.repository.push(":main").failed()
    assert "deleted" in pushed.text
    assert live.serves("hello 1")


def test_two_branches_at_once_are_refused(live: App) -> None:
    live.repository.git("branch", "-f", "one").ok()
    live.repository.git("branch", "-f", "two").ok()
    pushed = live.repository.push("one", "two").failed()
    assert "2 branches" in pushed.text
    assert "git push paas main" in pushed.text


def test_a_shallow_clone_goes_live_or_hears_that_it_is_one(app: App, tmp_path: Path) -> None:
    app.repository.commit(apps.plain())
    app.repository.commit({"VERSION": "2\n"})
    clone = str(tmp_path / "shallow")
    app.repository.git("clone", "-q", "--depth=1", f"file://{app.repository.folder}", clone).ok()
    app.repository.git("-C", clone, "remote", "add", "paas", app.server.remote(app.name)).ok()
    pushed = app.repository.git("-C", clone, "push", "paas", "main")
    if pushed.code == 0:
        assert app.serves("hello 2")
    else:
        assert "shallow" in pushed.failed().text


def test_a_submodule_is_refused_with_a_sentence(server: Server, app: App, tmp_path: Path) -> None:
    library = server.repository("library", {"x": "y"})
    app.repository.write(apps.plain())
    app.repository.git(
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        str(library.folder),
        "lib",
    ).ok()
    app.repository.commit()
    pushed = app.repository.push().failed()
    assert "lib is a submodule" in pushed.text


@pytest.mark.parametrize(
    "name", ["../x", "-rf", "a" * 64, "Upper", "ünïcode", "a/b", "..", "a b", "x.git.."]
)
def test_a_push_to_a_bad_app_name_is_refused_by_name(server: Server, name: str) -> None:
    before = server.paas("apps:list").ok().out
    repository = server.repository(name, apps.plain())
    pushed = repository.push()
    assert pushed.code not in (0, 1) or "error" in pushed.text
    assert "App name" in pushed.text or "strange pathname" in pushed.text  # git's own
    assert server.paas("apps:list").ok().out == before
