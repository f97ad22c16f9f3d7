"""Reading a pushed commit out of git's objects, with a real git."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from paas.buildpack.outcome import BuildpackFailed
from paas.deploy.build import read_source
from paas.deploy.objects import keep_objects
from paas.deploy.tree import GitContext, Objects, PushRefused, peel, read_text
from paas.model.builder import BuilderOptions

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.com",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_COMMITTER_DATE": "1700000000 +0000",
}


def git(repository: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", repository, *arguments],
        env=ENVIRONMENT,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "repository"
    path.mkdir()
    git(path, "init", "-q", "-b", "main")
    return path


def commit(repository: Path) -> str:
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "--allow-empty", "-m", "change")
    return git(repository, "rev-parse", "HEAD")


def objects(repository: Path) -> Objects:
    return Objects(repository / ".git/objects", repository / ".git/objects")


def context(repository: Path) -> GitContext:
    return GitContext(objects(repository), commit(repository))


def test_an_empty_tree_is_refused(repository: Path) -> None:
    with pytest.raises(PushRefused, match="no files"):
        read_source(context(repository), BuilderOptions())


def test_an_app_in_a_directory_of_a_repository_of_several(repository: Path) -> None:
    (repository / "Dockerfile").write_text("FROM scratch\n")
    (repository / "apps/web").mkdir(parents=True)
    (repository / "apps/web/build.docker").write_text("FROM scratch\n")
    (repository / "apps/web/Procfile").write_text("web: serve\n")
    tree = context(repository)
    source = read_source(tree, BuilderOptions(directory="apps/web", dockerfile="build.docker"))
    assert set(source.context.entries()) == {"build.docker", "Procfile"}
    assert source.context.entries()["Procfile"].path == "Procfile"
    assert source.context.read("Procfile") == b"web: serve\n"
    assert source.procfile == {"web": "serve"}
    assert source.context.commit == tree.commit
    with pytest.raises(PushRefused, match="no directory apps/we"):
        read_source(tree, BuilderOptions(directory="apps/we"))


def test_a_tree_without_a_dockerfile_is_told_what_is_supported(repository: Path) -> None:
    (repository / "app.py").write_text("print(1)\n")
    with pytest.raises(BuildpackFailed, match="how to build it") as caught:
        read_source(context(repository), BuilderOptions())
    for name in ("Dockerfile", "requirements.txt", "package.json", "index.html"):
        assert name in str(caught.value)


@pytest.mark.parametrize("name", ["compose.yaml", "docker-compose.yml"])
def test_a_compose_project_is_told_what_takes_its_place(repository: Path, name: str) -> None:
    (repository / name).write_text("services: {web: {build: .}, db: {image: postgres}}\n")
    with pytest.raises(BuildpackFailed, match=name) as caught:
        read_source(context(repository), BuilderOptions())
    for word in ("Procfile", "postgres:create", "storage:create", "Dockerfile"):
        assert word in str(caught.value)
    # Beside something that builds, it is the developer's own, for the laptop.
    (repository / "Dockerfile").write_text("FROM scratch\n")
    assert read_source(context(repository), BuilderOptions()).built_by == "dockerfile"


def test_a_submodule_is_refused_by_name(repository: Path) -> None:
    first = commit(repository)
    git(repository, "update-index", "--add", "--cacheinfo", f"160000,{first},vendor/library")
    git(repository, "commit", "-q", "-m", "submodule")
    found = GitContext(objects(repository), git(repository, "rev-parse", "HEAD"))
    with pytest.raises(PushRefused, match="vendor/library is a submodule"):
        found.entries()


def test_a_missing_object_is_refused(repository: Path) -> None:
    with pytest.raises(PushRefused, match="missing"):
        peel(objects(repository), "12" * 20)


def test_a_tag_of_a_file_is_not_a_commit(repository: Path) -> None:
    (repository / "file").write_text("x")
    commit(repository)
    blob = git(repository, "rev-parse", "HEAD:file")
    with pytest.raises(PushRefused, match="not a commit"):
        peel(objects(repository), blob)


def test_a_procfile_that_is_a_link_is_refused(repository: Path) -> None:
    (repository / "Procfile").symlink_to("/etc/passwd")
    with pytest.raises(PushRefused, match="Procfile is not a regular file"):
        read_text(context(repository), "Procfile")


def test_text_in_another_encoding_is_refused(repository: Path) -> None:
    (repository / "Procfile").write_bytes(b"web: caf\xe9\n")
    with pytest.raises(PushRefused, match="not UTF-8"):
        read_text(context(repository), "Procfile")


def test_modes_links_names_and_time_are_those_of_git(repository: Path) -> None:
    (repository / "bin").mkdir()
    run = repository / "bin/run"
    run.write_text("#!/bin/sh\n")
    run.chmod(0o755)
    (repository / "link").symlink_to("bin/run")
    odd = os.fsdecode(b"caf\xe9")
    (repository / odd).write_text("latin")
    found = context(repository)
    entries = found.entries()
    assert stat.S_ISDIR(entries["bin"].mode)
    assert stat.S_IMODE(entries["bin/run"].mode) == 0o755
    assert entries["link"].target == "bin/run"
    assert found.read(odd) == b"latin"
    assert found.mtime == 1700000000


def test_contents_are_copied_to_a_descriptor(repository: Path, tmp_path: Path) -> None:
    (repository / "large").write_bytes(b"x" * 300_000)
    found = context(repository)
    target = tmp_path / "target"
    with target.open("wb") as file:
        found.copy_to("large", file.fileno())
    assert target.read_bytes() == b"x" * 300_000


def test_kept_objects_outlive_the_quarantine(repository: Path, tmp_path: Path) -> None:
    (repository / "file").write_text("x")
    name = commit(repository)
    bare = tmp_path / "bare.git"
    git(repository, "init", "-q", "--bare", str(bare))
    quarantine = bare / "objects/tmp_objdir-incoming-1"
    (repository / ".git/objects").rename(quarantine)
    kept = keep_objects(
        quarantine, Objects(quarantine, bare / "objects"), tmp_path / "deploy/objects"
    )
    subprocess.run(["rm", "-r", quarantine], check=True)
    assert GitContext(kept, name).read("file") == b"x"
