"""How a buildpack is named: what is one, what is a repository, what is neither."""

from __future__ import annotations

import pytest

from paas.buildpack.source import GitSource, InvalidBuildpackName, parse_source


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cobol",
        "../python",
        "file:///etc",
        "/srv/git/pack",
        "ext::sh -c id",
        "--upload-pack=id",
        "-oProxyCommand=id:x",
        "https://example.org/a b",
        "https://example.org/\n",
        "https://" + "a" * 2000,
        "git@example.org:a;id",
    ],
)
def test_what_is_neither_is_refused_with_those_there_are(text: str) -> None:
    with pytest.raises(InvalidBuildpackName, match="neither a bundled") as caught:
        parse_source(text)
    assert "python" in caught.value.resolution


@pytest.mark.parametrize("ref", ["-x", "a..b", "a b", "x" * 300, "a~1"])
def test_what_is_no_ref_is_refused(ref: str) -> None:
    with pytest.raises(InvalidBuildpackName, match="not a branch"):
        parse_source(f"https://example.org/pack#{ref}")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("python", "python"),
        ("heroku/nodejs", "node"),
        ("urn:buildpack:heroku/ruby", "ruby"),
        ("heroku-community/apt", "apt"),
        ("heroku/gradle", "java"),
    ],
)
def test_names_of_elsewhere_mean_the_bundled_one(text: str, name: str) -> None:
    assert parse_source(text) == name


@pytest.mark.parametrize(
    ("text", "url", "ref"),
    [
        ("https://example.org/pack.git", "https://example.org/pack.git", None),
        ("https://example.org/pack#v1.2", "https://example.org/pack", "v1.2"),
        ("https://example.org/pack#", "https://example.org/pack", None),
        ("git@example.org:own/pack.git#main", "git@example.org:own/pack.git", "main"),
        ("ssh://git@example.org:22/p#f/x", "ssh://git@example.org:22/p", "f/x"),
    ],
)
def test_a_repository_may_name_its_ref(text: str, url: str, ref: str | None) -> None:
    assert parse_source(text) == GitSource(url, ref)


def test_two_of_one_name_have_folders_of_their_own() -> None:
    one, two = GitSource("https://a.example/x/pack.git"), GitSource("https://b.example/pack")
    assert one.slug != two.slug
    assert one.slug.startswith("pack-")


def test_a_password_is_not_shown() -> None:
    for login in ("me:secret", "secret", "me:sec@ret", "me:"):
        shown = str(GitSource(f"https://{login}@example.org/p", "v1"))
        assert shown == "https://example.org/p#v1"
    assert str(GitSource("ssh://git@example.org/p@v2")) == "ssh://git@example.org/p@v2"
    assert str(GitSource("ssh://me:secret@example.org/p")) == "ssh://example.org/p"
