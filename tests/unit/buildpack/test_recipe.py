"""The Dockerfiles of buildpack builds, read back by the builder's own parser."""

from __future__ import annotations

from paas.buildpack import recipe
from paas.buildpack.catalogue import Buildpack
from paas.buildpack.declaration import Declaration
from paas.engine.build.stages import read_dockerfile

PYTHON = Buildpack("python", Declaration(packages=("python3",)), has_setup=True)
STATIC = Buildpack("static", Declaration(packages=("nginx",)))


def steps(text: str) -> list[str]:
    """The summaries of all instructions; raises for what is none."""
    stages = read_dockerfile(text.encode(), recipe.DOCKERFILE).stages
    return [step.summary for stage in stages for step in stage.steps]


def test_the_build_base_holds_each_buildpack_and_sets_up_those_that_want_it() -> None:
    found = steps(recipe.build_base([PYTHON, STATIC], "debian-13"))
    assert [step for step in found if step.endswith(f"; {recipe.SETUP}/python")]
    assert not [step for step in found if f"{recipe.SETUP}/static" in step]
    assert found[-2:] == ["USER app", f"WORKDIR {recipe.APP}"]


def test_the_run_base_installs_what_all_declare_at_once() -> None:
    text = recipe.run_base([STATIC, PYTHON], "debian-13")
    assert text == recipe.run_base([PYTHON, STATIC], "debian-13")
    assert sum("apt-get install" in step for step in steps(text)) == 1
    assert "nginx python3" in text


def test_a_run_base_without_packages_asks_no_mirror() -> None:
    assert "apt-get" not in recipe.run_base([Buildpack("node", Declaration())], "debian-13")


def test_a_stack_is_called_by_its_own_name_unless_it_is_made_here() -> None:
    assert recipe.stack_name("debian-13") == "paas-13"
    assert recipe.stack_name("heroku-24") == "heroku-24"
    assert "ENV STACK=heroku-24\n" in recipe.build_base([], "heroku-24")


def test_packages_of_one_stack_are_not_installed_on_another() -> None:
    """apt(8) takes what lies in the cache by its name and size."""
    for stack in ("debian-13", "heroku-24"):
        assert f"id=apt-{stack}," in recipe.run_base([STATIC], stack)
        assert f"id=apt-{stack}," in recipe.build_base([PYTHON], stack)


def test_dependencies_see_the_named_files_alone() -> None:
    text = recipe.dependencies("sha256:" + "0" * 64, PYTHON, ["requirements.txt"])
    assert steps(text) == [
        "COPY --chown=app:app requirements.txt /app/requirements.txt",
        "RUN /opt/paas/driver dependencies python",
    ]
