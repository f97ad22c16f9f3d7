"""The door to object storage that speaks S3: put, get and delete, signed by version 4.

A request that fails for a moment is sent again, as AWS's own clients do in their standard mode
(AWS SDKs and Tools reference guide, "Retry behavior"): three times in all, with a pause that
grows and is random. All of them may be: what is sent twice is the same.

Source: AWS, "Authenticating Requests: Using the Authorization Header (AWS Signature
Version 4)", and the Amazon S3 API reference (PutObject, CreateMultipartUpload).
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import os
import random
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit
from xml.sax.saxutils import escape, unescape

from paas.errors import PaasError
from paas.model.env import Secret

PART_BYTES = 64 << 20
"""Of a multipart upload: 10,000 parts, the limit, are 640 GB."""

SINGLE_BYTES = 1 << 30
CHUNK = 1 << 20
TIMEOUT_SECONDS = 60.0
ATTEMPTS = 3
PAUSE_SECONDS = 20.0
"""The longest between two attempts; the first is of one second at most."""

MOMENTARY = {408, 429, 500, 502, 503, 504}
"""Statuses that another attempt may not meet."""

UNFINISHED = timedelta(days=1)
"""An upload that was begun longer ago is nobody's any more."""

EMPTY = hashlib.sha256(b"").hexdigest()


class BucketFailed(PaasError):
    """The storage cannot be reached, or refuses."""


class _NotWritten(Exception):
    """The place that an object is copied to takes no more of it."""


class _FailedForNow(BucketFailed):
    """Another attempt may succeed."""


@dataclass(frozen=True)
class BucketKey:
    """An access key, and the region that requests are signed for."""

    id: str
    secret: Secret
    region: str


@dataclass(frozen=True)
class Bucket:
    """A prefix of a bucket. Without `endpoint` (a URL) it is Amazon's; paths name the bucket."""

    name: str
    prefix: str
    key: BucketKey
    endpoint: str = ""
    pause: Callable[[float], None] = time.sleep

    def store(self, name: str, source: int, size: int, sha256: str) -> None:
        """Keep a file; large ones in parts. Raises `BucketFailed`; half a file is never there."""
        if size <= SINGLE_BYTES:
            self._ask("PUT", name, body=_Span(source, 0, size), sha256=sha256)
        else:
            self._store_in_parts(name, source, size)

    def fetch(self, name: str, out: int) -> None:
        """Write an object to a descriptor. Raises `BucketFailed`."""
        self._ask("GET", name, out=out)

    def remove(self, name: str) -> None:
        """Delete an object; one that is gone is no error."""
        self._ask("DELETE", name)

    def sweep(self, beginning: str) -> None:
        """Abort uploads of objects whose names begin like that, if begun more than a day ago."""
        query = {"uploads": "", "prefix": self._key(beginning)}
        answer, _ = self._ask("GET", None, query=query)
        for found in re.findall(rb"<Upload>(.*?)</Upload>", answer, re.DOTALL):
            try:
                begun = datetime.fromisoformat(_element(found, "Initiated")).astimezone(UTC)
            except ValueError as error:
                raise self._failed("lists uploads in a form that is not S3's", b"") from error
            if begun < datetime.now(UTC) - UNFINISHED:
                name = unescape(_element(found, "Key"))[len(self._key("")) :]
                self._ask("DELETE", name, query={"uploadId": _element(found, "UploadId")})

    def _store_in_parts(self, name: str, source: int, size: int) -> None:
        answer, _ = self._ask("POST", name, query={"uploads": ""})
        upload = _element(answer, "UploadId")
        try:
            tags = []
            for number, start in enumerate(range(0, size, PART_BYTES), 1):
                span = _Span(source, start, min(PART_BYTES, size - start))
                query = {"partNumber": str(number), "uploadId": upload}
                _, headers = self._ask("PUT", name, query=query, body=span, sha256=span.sha256())
                tags.append(headers.get("etag", ""))
            self._finish(name, upload, tags)
        except BaseException:
            # The reason is more worth than this one's: what it leaves is swept.
            with suppress(BucketFailed):
                self._ask("DELETE", name, query={"uploadId": upload})
            raise

    def _finish(self, name: str, upload: str, tags: list[str]) -> None:
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(tag)}</ETag></Part>"
            for number, tag in enumerate(tags, 1)
        )
        text = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        self._ask(
            "POST",
            name,
            query={"uploadId": upload},
            body=text,
            sha256=hashlib.sha256(text).hexdigest(),
        )

    def _ask(
        self,
        method: str,
        name: str | None,
        *,
        query: Mapping[str, str] | None = None,
        body: _Span | bytes = b"",
        sha256: str = EMPTY,
        out: int | None = None,
    ) -> tuple[bytes, Mapping[str, str]]:
        """Ask for an object, or without a name for the bucket, as often as it takes."""
        start = os.lseek(out, 0, os.SEEK_CUR) if out is not None else 0
        for attempt in range(1, ATTEMPTS):
            try:
                return self._try(method, name, query or {}, body, sha256, out)
            except _FailedForNow:
                self.pause(min(2.0 ** (attempt - 1), PAUSE_SECONDS) * random.random())  # noqa: S311
                if out is not None:
                    os.ftruncate(out, start)
                    os.lseek(out, start, os.SEEK_SET)
        return self._try(method, name, query or {}, body, sha256, out)

    def _try(
        self,
        method: str,
        name: str | None,
        query: Mapping[str, str],
        body: _Span | bytes,
        sha256: str,
        out: int | None,
    ) -> tuple[bytes, Mapping[str, str]]:
        url = urlsplit(self.endpoint or f"https://s3.{self.key.region}.amazonaws.com")
        place = self.name if name is None else f"{self.name}/{self._key(name)}"
        path = quote(f"{url.path.rstrip('/')}/{place}", safe="/-_.~")
        line = "&".join(f"{_enc(k)}={_enc(v)}" for k, v in sorted(query.items()))
        now = datetime.now(UTC)
        headers = signed(self.key, method, url.netloc, path, line, sha256, now)
        headers["Content-Length"] = str(len(body))
        connection = _connection(url.scheme, url.netloc)
        try:
            connection.request(
                method,
                f"{path}?{line}" if line else path,
                body=body if isinstance(body, bytes) else iter(body),
                headers=headers,
            )
            answer = connection.getresponse()
            if answer.status >= http.client.MULTIPLE_CHOICES:
                kind = _FailedForNow if answer.status in MOMENTARY else BucketFailed
                raise self._failed(f"answers {answer.status}", answer.read(CHUNK), kind)
            said = _read(answer, out)
            if method == "POST" and b"<Error>" in said:
                # 200 is sent before the parts are joined.
                raise self._failed("cannot join the parts", said, _FailedForNow)
            return said, {k.lower(): v for k, v in answer.getheaders()}
        except _NotWritten as error:
            what = f"cannot be copied to the server's disk: {error.__cause__}"
            raise self._failed(what, b"") from error
        except (OSError, http.client.HTTPException) as error:
            raise self._failed(f"cannot be reached: {error}", b"", _FailedForNow) from error
        finally:
            connection.close()

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    def _failed(
        self, what: str, answer: bytes, kind: type[BucketFailed] = BucketFailed
    ) -> BucketFailed:
        return kind(
            f"The storage of the bucket {self.name} {what}",
            [text for tag in ("Code", "Message") if (text := _element(answer, tag))],
            "Check the endpoint, the key, and that the bucket exists.",
        )


def signed(
    key: BucketKey, method: str, host: str, path: str, query: str, sha256: str, now: datetime
) -> dict[str, str]:
    """The headers of a request. `path` and `query` are encoded, and `query` is sorted."""
    moment, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    headers = {"host": host, "x-amz-content-sha256": sha256, "x-amz-date": moment}
    names = ";".join(sorted(headers))
    listed = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = "\n".join((method, path, query, listed, names, sha256))
    scope = f"{day}/{key.region}/s3/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
    secret = f"AWS4{key.secret.reveal()}".encode()
    for part in (day, key.region, "s3", "aws4_request"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    signature = hmac.digest(secret, text.encode(), "sha256").hex()
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key.id}/{scope},SignedHeaders={names},Signature={signature}"
    )
    return headers


@dataclass(frozen=True)
class _Span:
    """A part of a file, read anew each time it is iterated; nothing of it is kept in memory."""

    descriptor: int
    start: int
    size: int

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[bytes]:
        offset, end = self.start, self.start + self.size
        while offset < end:
            data = os.pread(self.descriptor, min(CHUNK, end - offset), offset)
            if not data:
                return
            offset += len(data)
            yield data

    def sha256(self) -> str:
        """Of its bytes, in hexadecimal."""
        digest = hashlib.sha256()
        for data in self:
            digest.update(data)
        return digest.hexdigest()


def _connection(scheme: str, host: str) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(host, timeout=TIMEOUT_SECONDS)
    context = ssl.create_default_context()
    return http.client.HTTPSConnection(host, timeout=TIMEOUT_SECONDS, context=context)


def _read(answer: http.client.HTTPResponse, out: int | None) -> bytes:
    """Raises `IncompleteRead` when the connection ends early: `read(CHUNK)` does not."""
    kept = b""
    while data := answer.read(CHUNK):
        if out is None:
            kept = (kept + data)[:CHUNK]
        else:
            _write(out, data)
    if answer.length:
        raise http.client.IncompleteRead(b"", answer.length)
    return kept


def _write(out: int, data: bytes) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(out, view) :]
    except OSError as error:
        raise _NotWritten from error


def _enc(text: str) -> str:
    return quote(text, safe="-_.~")


def _element(document: bytes, tag: str) -> str:
    """The text of the first element of that name; documents here are flat and short."""
    match = re.search(rf"<{tag}>([^<]*)</{tag}>".encode(), document)
    return match[1].decode("utf-8", "replace") if match else ""
