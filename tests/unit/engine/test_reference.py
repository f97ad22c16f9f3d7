"""Names of images: what is refused, and how the rest is normalised."""

from __future__ import annotations

import pytest

from paas.engine.reference import InvalidReference, is_image_id, parse_reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "malformed"),
        ("Python", "lower case"),
        ("python:", "tag"),
        ("python:-x", "tag"),
        ("python:" + "x" * 129, "tag"),
        ("python@sha256:abc", "digest"),
        ("a//b", "malformed"),
        ("../etc", "registry"),
        ("a/../b", "malformed"),
        ("-rf", "malformed"),
        ("a b", "malformed"),
        ("host..name/x", "registry"),
        ("x/" * 140 + "x", "longer"),
        ("docker.io/", "malformed"),
        ("paas/Stack", "lower case"),
    ],
)
def test_refuses_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(InvalidReference, match=why):
        parse_reference(text)


@pytest.mark.parametrize(
    ("text", "whole", "familiar"),
    [
        ("python", "docker.io/library/python:latest", "python:latest"),
        ("python:3.13", "docker.io/library/python:3.13", "python:3.13"),
        ("docker.io/python", "docker.io/library/python:latest", "python:latest"),
        ("index.docker.io/a/b", "docker.io/a/b:latest", "a/b:latest"),
        ("user/app:v1", "docker.io/user/app:v1", "user/app:v1"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("localhost:5000/a/b", "localhost:5000/a/b:latest", "localhost:5000/a/b:latest"),
        ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
        (f"ghcr.io/a/b@{DIGEST}", f"ghcr.io/a/b@{DIGEST}", f"ghcr.io/a/b@{DIGEST}"),
        ("paas/stack:debian-13", "paas/stack:debian-13", "paas/stack:debian-13"),
    ],
)
def test_normalises_as_docker_does(text: str, whole: str, familiar: str) -> None:
    reference = parse_reference(text)
    assert str(reference) == whole
    assert reference.familiar == familiar
    assert parse_reference(whole) == reference


def test_asks_a_registry_by_digest_alone() -> None:
    reference = parse_reference(f"python:3.13@{DIGEST}")
    assert reference.tag == "3.13"
    assert reference.pullable == f"docker.io/library/python@{DIGEST}"


def test_names_below_paas_are_local() -> None:
    assert parse_reference("paas/anything").local
    assert not parse_reference("paasta/anything").local


def test_knows_a_whole_id() -> None:
    assert is_image_id(DIGEST)
    assert not is_image_id(DIGEST[:-1])
