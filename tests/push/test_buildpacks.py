"""Apps without a Dockerfile, pushed for real: first what is refused, then what is served.

The build image and the packages that every fixture needs are made once for the ring's
server, by whichever test is first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.push import apps
from tests.push.app import App
from tests.push.outcome import eventually
from tests.push.processes import kill
from tests.push.repository import cut, heard
from tests.push.server import Server
from tests.push.test_crash import deploying

pytestmark = pytest.mark.turns(2)


@pytest.fixture(scope="module", autouse=True)
def patient(server: Server) -> Iterator[None]:
    """No app of these stays away, and some take their time to start on a busy machine."""
    server.paas("checks:set", "--global", "boot-seconds", "60").ok()
    yield
    server.give_up_soon()


# -- what is refused -----------------------------------------------------------------------


def test_nothing_that_is_known_lists_what_is_supported(app: App) -> None:
    pushed = app.push({"README.md": "# words\n"}).failed()
    for name in ("Dockerfile", "package.json", "requirements.txt", "index.html"):
        assert name in pushed.text


def test_an_unknown_buildpack_is_refused_before_anything_is_built(app: App) -> None:
    pushed = app.push({"index.html": "x", ".buildpacks": "heroku/cobol\n"}).failed()
    assert ".buildpacks: 'heroku/cobol' is neither a bundled buildpack nor the URL" in pushed.text
    assert "-----> Building" not in pushed.text


@pytest.mark.parametrize("host", ["169.254.169.254", "127.0.0.1", "[::1]", "localhost"])
def test_a_url_in_a_repository_reaches_nothing_that_is_inside(app: App, host: str) -> None:
    pushed = app.push({"index.html": "x", ".buildpacks": f"http://{host}:9/pack\n"}).failed()
    assert "which is not a public one" in pushed.text or "could not be fetched" in pushed.text


def test_a_named_buildpack_that_does_not_recognise_the_app_is_refused(app: App) -> None:
    pushed = app.push({"README.md": "x\n", ".buildpacks": "static\n"}).failed()
    assert "The static buildpack does not recognise this app" in pushed.text


def test_requirements_that_do_not_exist_reject_the_push(app: App) -> None:
    files = apps.fixture("python-flask") | {"requirements.txt": "flask==0.0.0.1\n"}
    pushed = app.push(files).failed()
    assert "could not install" in pushed.text
    assert "flask==0.0.0.1" in pushed.text


def test_a_lock_file_that_lacks_an_entry_rejects_the_push(app: App) -> None:
    files = apps.fixture("python-fastapi")
    files["pyproject.toml"] = files["pyproject.toml"].replace('["fastapi', '["flask", "fastapi')
    assert "uv lock" in app.push(files).failed().text


def test_a_project_without_a_lock_file_is_told_how_to_lock_it(app: App) -> None:
    pushed = app.push({"pyproject.toml": "[project]\nname='x'\nversion='1'\n"}).failed()
    assert "There is neither requirements.txt nor a lock file" in pushed.text


def test_a_python_that_cannot_be_had_is_refused_by_its_version(app: App) -> None:
    files = apps.fixture("python-flask") | {".python-version": "2.7\n"}
    assert "Python 2.7 cannot be had" in app.push(files).failed().text


def test_a_failing_build_script_rejects_the_push_and_the_old_release_serves_on(app: App) -> None:
    app.push(apps.fixture("static-spa")).ok()
    package = {"scripts": {"build": "echo compiling; exit 7"}}
    app.repository.git("rm", "-q", "static.json").ok()
    pushed = app.push({"package.json": json.dumps(package), "package-lock.json": LOCK}).failed()
    assert "The node buildpack failed: bin/compile: exit code 1" in pushed.text
    assert "compiling" in pushed.text
    assert "npm run build failed" in pushed.text
    assert app.serves("single page")


@pytest.mark.parametrize("killed", ["client", "deploy"])
def test_what_is_killed_in_the_compile_leaves_nothing(
    server: Server, app: App, killed: str
) -> None:
    """The laptop is closed; or the process of the daemon that builds is gone."""
    app.ssh("apps:create {}").ok()
    before = server.residue()
    package = {"scripts": {"build": "echo marker $((40 + 2)); sleep 300", "start": "true"}}
    app.repository.commit({"package.json": json.dumps(package), "package-lock.json": LOCK})
    push = app.repository.start_push()
    heard(push, b"marker 42")
    if killed == "deploy":
        (pid,) = eventually(lambda: deploying(server))
        kill(pid)
        output, _ = push.communicate(timeout=100)
        assert push.returncode != 0, output
    else:
        cut(push)
    server.settles_to(before)
    app.repository.commit({"package.json": "{}"})
    assert "web: COMMAND" in app.repository.push().failed().text


def test_an_app_that_says_nothing_to_run_is_told_of_the_procfile(app: App) -> None:
    pushed = app.push({"package.json": "{}", "package-lock.json": LOCK}).failed()
    assert "web: COMMAND" in pushed.text


LOCK = json.dumps({"lockfileVersion": 3, "requires": True, "packages": {"": {}}})
"""Of a package without dependencies."""

# -- what is served ------------------------------------------------------------------------


def test_flask_is_served_as_an_ordinary_user_with_its_config(app: App) -> None:
    app.ssh("apps:create {}").ok()
    app.ssh("config:set {} COLOUR=green").ok()
    app.push(apps.fixture("python-flask")).ok()
    assert app.get().text == "flask on 3.13, green\n"
    assert app.get("/whoami").text == "1000 /app /app\n"
    found = app.ssh("run {} python -c 'import flask, sys; print(sys.prefix)'").ok()
    assert found.out.strip() == "/app/.heroku/python"


def test_a_changed_line_installs_nothing(app: App) -> None:
    files = apps.fixture("python-flask")
    app.push(files).ok()
    pushed = app.push({"app.py": files["app.py"].replace("flask on", "changed, on")}).ok()
    assert "Installing" not in pushed.text
    assert app.serves("changed, on")


def test_a_second_app_with_the_same_lock_file_installs_nothing(app: App) -> None:
    """Beside the tests above, which have pushed the same requirements."""
    app.push(apps.fixture("python-flask")).ok()
    app.ssh("apps:destroy {} --force").ok()
    pushed = app.push(apps.fixture("python-flask")).ok()
    assert "Installing" not in pushed.text


def test_fastapi_is_installed_by_its_lock_file(app: App) -> None:
    app.push(apps.fixture("python-fastapi")).ok()
    assert json.loads(app.get().body) == {"served": "by fastapi"}


def test_django_collects_its_static_files(app: App) -> None:
    pushed = app.push(apps.fixture("python-django")).ok()
    assert "1 static file copied" in pushed.text
    assert app.serves("django")
    assert "teal" in app.get("/static/style.css").text


def test_express_is_started_by_npm_for_production(app: App) -> None:
    app.push(apps.fixture("node-express")).ok()
    assert app.get().text == "express production\n"


def test_typescript_is_built_by_the_exact_node_and_leaves_no_tools(app: App) -> None:
    app.push(apps.fixture("node-build")).ok()
    assert app.get().text == "typescript on v22.14.0\n"
    assert app.ssh("run {} test -e node_modules/typescript").code == 1


def test_a_single_page_app_answers_every_path_but_the_hidden(app: App) -> None:
    app.push(apps.fixture("static-spa")).ok()
    assert app.serves("single page")
    assert "single page" in app.get("/some/route").text
    assert "about us" in app.get("/about").text
    assert app.get("/.heroku/static/nginx.conf").status == 404


def test_several_buildpacks_build_one_app_and_a_profile_is_sourced(app: App) -> None:
    """Node builds, the static server serves what was built; .profile is read before it."""
    package = {"scripts": {"build": 'mkdir dist && echo "built by $WHO" > dist/index.html'}}
    app.ssh("apps:create {}").ok()
    app.ssh("config:set {} WHO=node").ok()
    app.push(
        {
            "package.json": json.dumps(package),
            "package-lock.json": LOCK,
            "app.json": '{"buildpacks": [{"url": "heroku/nodejs"}, {"url": "static"}]}',
            "static.json": '{"root": "dist"}',
            ".profile": "export SOURCED=yes\n",
        }
    ).ok()
    assert app.serves("built by node")
    assert app.ssh("run {} printenv SOURCED").ok().out.strip() == "yes"


def test_a_destroyed_app_leaves_no_cache(server: Server, app: App) -> None:
    app.push(apps.fixture("static-spa")).ok()
    volumes = server.layout.engine_fs / "volumes"
    before = set(volumes.iterdir())
    app.ssh("apps:destroy {} --force").ok()
    assert len(before - set(volumes.iterdir())) == 1
