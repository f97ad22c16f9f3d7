"""The door to S3, against a real server that checks signatures."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from paas.model.env import Secret
from paas.plugin import s3
from paas.plugin.s3 import Bucket, BucketFailed, BucketKey
from tests.s3 import KEY, SECRET, ObjectStorage, object_storage

DATA = os.urandom(3_000_000)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStorage]:
    with object_storage(tmp_path_factory.mktemp("s3")) as storage:
        storage.make_bucket("backups")
        yield storage


@pytest.fixture
def bucket(storage: ObjectStorage) -> Bucket:
    key = BucketKey(KEY, Secret(SECRET), "us-east-1")
    return Bucket("backups", "server one/daily", key, storage.endpoint)


def store(bucket: Bucket, path: Path, name: str, data: bytes) -> None:
    path.write_bytes(data)
    with path.open("rb") as file:
        bucket.store(name, file.fileno(), len(data), hashlib.sha256(data).hexdigest())


def fetched(bucket: Bucket, path: Path, name: str) -> bytes:
    with path.open("wb") as file:
        bucket.fetch(name, file.fileno())
    return path.read_bytes()


@pytest.mark.parametrize("parts", [False, True], ids=["whole", "in parts"])
def test_what_was_stored_comes_back_until_it_is_removed(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, parts: bool
) -> None:
    if parts:
        monkeypatch.setattr(s3, "SINGLE_BYTES", 1_000_000)
        monkeypatch.setattr(s3, "PART_BYTES", 1_000_000)
    store(bucket, tmp_path / "in", "a b+ü.dump", DATA)
    assert fetched(bucket, tmp_path / "out", "a b+ü.dump") == DATA
    bucket.remove("a b+ü.dump")
    with pytest.raises(BucketFailed, match="404"):
        fetched(bucket, tmp_path / "out", "a b+ü.dump")
    bucket.remove("a b+ü.dump")


def test_a_wrong_key_and_an_absent_bucket_are_told_apart(bucket: Bucket, tmp_path: Path) -> None:
    wrong = replace(bucket, key=replace(bucket.key, secret=Secret("wrong")))
    with pytest.raises(BucketFailed, match="403"):
        store(wrong, tmp_path / "in", "x", b"x")
    absent = replace(bucket, name="absent")
    with pytest.raises(BucketFailed, match="404"):
        store(absent, tmp_path / "in", "x", b"x")


def test_a_storage_that_is_down_is_said(bucket: Bucket, tmp_path: Path) -> None:
    down = replace(bucket, endpoint="http://127.0.0.1:1")
    with pytest.raises(BucketFailed, match="cannot be reached"):
        store(down, tmp_path / "in", "x", b"x")


def test_an_upload_that_nobody_ends_is_aborted_when_it_is_old(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, _ = bucket._ask("POST", "db-1.dump", query={"uploads": ""})
    query = {"uploadId": s3._element(answer, "UploadId"), "partNumber": "1"}
    part = b"x"

    def put() -> None:
        sha256 = hashlib.sha256(part).hexdigest()
        bucket._ask("PUT", "db-1.dump", query=query, body=part, sha256=sha256)

    bucket.sweep("db-")
    put()
    monkeypatch.setattr(s3, "UNFINISHED", timedelta(0))
    bucket.sweep("other-")
    put()
    bucket.sweep("db-")
    with pytest.raises(BucketFailed, match="404"):
        put()
