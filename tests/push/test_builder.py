"""`builder:set`, from the key's first word to what the image is: one app in a repository of two."""

from __future__ import annotations

from tests.push.app import App

DOCKERFILE = """\
FROM paas/stack:debian-13
ARG GREETING=none
RUN --mount=type=secret,id=TOKEN --mount=type=secret,id=OTHER --mount=type=cache,target=/c \\
    echo "[$(cat /run/secrets/TOKEN)] [$(ls /run/secrets)] [$GREETING] cache: $(ls /c)"; \\
    touch /c/$GREETING
CMD ["true"]
"""


DIRECTORY = "services/one"


def build(app: App, word: str) -> str:
    """What a build prints that has another command, and ends before anything runs."""
    text = DOCKERFILE.replace("echo", f"echo {word}") + "RUN exit 5\n"
    return app.push({f"{DIRECTORY}/build.docker": text}).failed().text


def test_a_build_has_what_was_set_for_its_app_and_no_more(app: App) -> None:
    app.ssh("apps:create {}").ok()
    app.ssh("config:set {} TOKEN=t0p OTHER=hidden").ok()
    for words in (
        f"build-dir {DIRECTORY}",
        "dockerfile-path build.docker",
        "build-arg GREETING=hello",
        "build-config TOKEN",
    ):
        app.ssh(f"builder:set {{}} {words}").ok()
    app.repository.commit({"Dockerfile": "FROM nothing\n"})
    first = build(app, "first")
    assert "first [t0p] [TOKEN] [hello] cache:" in first
    assert "build.docker:7" in first
    assert "again [t0p] [TOKEN] [hello] cache: hello" in build(app, "again")
    report = app.ssh("builder:report {}").ok().out
    assert DIRECTORY in report
    assert "t0p" not in report
    app.ssh("repo:purge-cache {}").ok()
    purged = build(app, "purged")
    assert "purged [t0p]" in purged
    assert "cache: hello" not in purged
