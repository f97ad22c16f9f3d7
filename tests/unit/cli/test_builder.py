"""What the commands of building make of their words."""

from __future__ import annotations

import json

import pytest

from paas.deploy.build import builder_options
from tests.unit.cli.caller import KEY, ROOT, Paas


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("colour", "red"), "is not one of build-arg, build-config"),
        (("selected", "kaniko"), "no builder"),
        (("build-dir", "../other"), "leads out of the repository"),
        (("dockerfile-path", "a/../../b"), "leads out of the repository"),
        (("build-arg", "1A=x"), "cannot name a build argument"),
        (("build-config", "A,B-C"), "cannot name a config var"),
        (("build-memory", "much"), "not an amount of memory"),
        (("build-seconds", "1"), "whole number"),
        (("ssh-key", "yes"), "neither on nor off"),
    ],
)
def test_a_mistake_is_one_sentence(paas: Paas, words: tuple[str, ...], said: str) -> None:
    app = paas.store.apps.create("app")
    failed = paas("builder:set", "app", *words, caller=KEY)
    assert failed.code == 1
    assert said in failed.err
    assert builder_options(paas.store.settings, app.id).args == {}


def test_what_is_set_is_what_a_build_gets_and_the_report_shows(paas: Paas) -> None:
    app = paas.store.apps.create("app")
    for words in (
        ("selected", "dockerfile"),
        ("build-dir", "services/web/"),
        ("dockerfile-path", "docker/Dockerfile.prod"),
        ("build-arg", "A=1"),
        ("build-arg", "TOKEN=s3=cret"),
        ("build-arg", "GONE=1"),
        ("build-arg", "GONE"),
        ("build-config", "KEY, OTHER"),
    ):
        assert paas("builder:set", "app", *words, caller=KEY).code == 0
    options = builder_options(paas.store.settings, app.id)
    assert options.selected == "dockerfile"
    assert (options.directory, options.dockerfile) == ("services/web", "docker/Dockerfile.prod")
    assert options.args == {"A": "1", "TOKEN": "s3=cret"}
    assert options.wants("KEY")
    assert not options.wants("ELSE")
    shown = paas("builder:report", "app", caller=KEY)
    assert "A, TOKEN" in shown.out
    assert "s3=cret" not in shown.out
    fields = json.loads(paas("builder:report", "app", "--format", "json", caller=KEY).out)
    assert fields["app"]["build-arg"] == ["A", "TOKEN"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--build-arg", "1=2"), "cannot name a build argument"),
        (("--file", "../Dockerfile"), "leads out"),
        (("--secret", "src=x"), "id=NAME,src=FILE"),
        (("--secret", "id=a,src=none"), "No such file"),
        (("--secret", "id=a,env=NOT_SET"), "is not set"),
        (("--ssh",), "SSH_AUTH_SOCK is not set"),
        (("--ssh", "deploy"), "SSH_AUTH_SOCK is not set"),
        (("--ssh", "deploy=none"), "neither an ssh-agent's socket nor a key"),
        (("--ssh", "=.", "--ssh", "default=."), "said twice"),
    ],
)
def test_a_build_that_cannot_begin_is_one_sentence(
    paas: Paas, words: tuple[str, ...], said: str
) -> None:
    failed = paas("build", ".", *words, caller=ROOT)
    assert failed.code == 1
    assert said in failed.err
    assert "root on the server" in paas("build", caller=KEY).err


def test_agents_are_offered_by_their_ids(paas: Paas) -> None:
    socket = paas.folder / "agent"
    socket.touch()
    env = {"SSH_AUTH_SOCK": str(socket)}
    (paas.folder / "key").touch()
    words = ("--ssh", "deploy=key", "--ssh", "other", "--ssh")
    assert paas("build", "sub", *words, caller=ROOT, env=env).code == 0
    (_, tryout), *_ = paas.platform.asked
    assert tryout.ssh == {"deploy": paas.folder / "key", "other": socket, "default": socket}


def test_the_server_s_key_is_an_admin_s_to_grant(paas: Paas) -> None:
    """It may open what is not the app's; whoever deploys it can take it away."""
    app = paas.store.apps.create("app")
    bob = paas.let_in("bob", admin=False)
    assert paas("access:add", "app", "bob", "owner", caller=KEY).code == 0
    denied = paas("builder:set", "app", "ssh-key", "on", caller=bob)
    assert denied.code != 0
    assert "An admin lets an app use" in denied.err
    assert not builder_options(paas.store.settings, app.id).ssh_key
    assert paas("builder:set", "app", "ssh-key", "on", caller=KEY).code == 0
    assert builder_options(paas.store.settings, app.id).ssh_key
    assert "ssh-key:" in paas("builder:report", "app", caller=bob).out
    assert paas("builder:set", "app", "ssh-key", "off", caller=bob).code == 0
    assert not builder_options(paas.store.settings, app.id).ssh_key


def test_a_directory_is_built_with_what_docker_build_takes(paas: Paas) -> None:
    (paas.folder / "token").write_text("s3cret\n")
    built = paas(
        *("build", "sub", "-f", "Docker.file", "-t", "paas/try:1", "--target", "two"),
        *("--build-arg", "A=1", "--build-arg", "B", "--secret", f"id=T,src={paas.folder}/token"),
        "--no-cache",
        caller=ROOT,
    )
    assert built.code == 0
    assert built.out.endswith("sha256:c0ffee\n")
    (what, tryout), *_ = paas.platform.asked
    assert what == "build"
    assert tryout.directory.name == "sub"
    assert (tryout.dockerfile, tryout.target, tryout.tag) == ("Docker.file", "two", "paas/try:1")
    assert tryout.args == {"A": "1", "B": ""}
    assert tryout.secrets["T"].reveal() == "s3cret\n"
    assert "s3cret" not in repr(tryout)
    assert not tryout.use_cache


def test_the_cache_of_an_app_is_purged(paas: Paas) -> None:
    paas.store.apps.create("app")
    assert "3.1 MB" in paas("repo:purge-cache", "app", caller=KEY).out
    assert paas("repo:purge-cache", "nope", caller=KEY).code == 20


def test_without_a_value_all_is_as_at_first(paas: Paas) -> None:
    app = paas.store.apps.create("app")
    before = builder_options(paas.store.settings, app.id)
    for key, value in (("build-arg", "A=1"), ("build-dir", "x"), ("build-config", "all")):
        assert paas("builder:set", "app", key, value, caller=KEY).code == 0
    assert builder_options(paas.store.settings, app.id).wants("ANYTHING")
    for key in ("build-arg", "build-dir", "build-config"):
        assert paas("builder:set", "app", key, caller=KEY).code == 0
    assert builder_options(paas.store.settings, app.id) == before
