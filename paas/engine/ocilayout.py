"""An OCI image layout on disk: what skopeo delivers, and what it is given.

https://github.com/opencontainers/image-spec: image-layout.md, manifest.md, descriptor.md.
Everything read here came from outside; nothing is used before its digest was compared.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paas.engine.config import ImageConfig, InvalidImage
from paas.engine.images import canonical_json
from paas.engine.pack import Packed

_DIGEST = re.compile(r"sha256:[a-f0-9]{64}")
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
MAX_DOCUMENT = 8 << 20
"""Bytes of a manifest or configuration; registries refuse more than 4 MiB."""


@dataclass(frozen=True)
class LayerBlob:
    """One layer of an image in a layout; `digest` is that of the blob as it is stored."""

    path: Path
    digest: str
    diff_id: str


@dataclass(frozen=True)
class LayoutImage:
    """An image in a layout; `id` is the digest of its configuration."""

    id: str
    config: ImageConfig
    layers: tuple[LayerBlob, ...]


def read(layout: Path, blobs: Path) -> LayoutImage:
    """The one image of a layout whose blobs are in `blobs/sha256`.

    Raises `InvalidImage` for one that is inconsistent or not an image.
    """
    try:
        index = json.loads((layout / "index.json").read_bytes())
        manifest, _ = _document(blobs, index["manifests"][0]["digest"])
        config, image = _document(blobs, manifest["config"]["digest"])
        descriptors, diff_ids = manifest["layers"], config["rootfs"]["diff_ids"]
        if len(descriptors) != len(diff_ids):
            raise _invalid(f"{len(descriptors)} layers, but {len(diff_ids)} digests of them")
        layers = tuple(
            LayerBlob(
                blob_path(blobs, descriptor["digest"]),
                descriptor["digest"],
                _checked(diff_id),
            )
            for descriptor, diff_id in zip(descriptors, diff_ids, strict=True)
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise _invalid(f"{type(error).__name__}: {error}") from error
    return LayoutImage(image, ImageConfig.from_json(config), layers)


def verify(blob: LayerBlob) -> None:
    """Compare the digest of a layer's blob, as it is stored. Raises `InvalidImage`."""
    with blob.path.open("rb") as file:
        found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    if found != blob.digest:
        raise _invalid(f"the content of {blob.digest} has another digest")


def write(layout: Path, config: ImageConfig, layers: Sequence[Packed]) -> None:
    """Complete a layout whose layer blobs are already in `blobs/sha256`."""
    document = canonical_json(config.to_json([layer.digest for layer in layers]))
    manifest = canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _store(layout, _CONFIG, document),
            "layers": [
                {"mediaType": _LAYER, "digest": layer.digest, "size": layer.size}
                for layer in layers
            ],
        }
    )
    index = {"schemaVersion": 2, "manifests": [_store(layout, _MANIFEST, manifest)]}
    (layout / "index.json").write_bytes(canonical_json(index))
    (layout / "oci-layout").write_bytes(canonical_json({"imageLayoutVersion": "1.0.0"}))


def blob_path(blobs: Path, digest: str) -> Path:
    """Where the blob of a digest is. Raises `InvalidImage` for what is no sha256."""
    return blobs / "sha256" / _checked(digest).removeprefix("sha256:")


def _document(blobs: Path, digest: str) -> tuple[dict[str, Any], str]:
    """A JSON blob, its digest compared."""
    path = blob_path(blobs, digest)
    if path.stat().st_size > MAX_DOCUMENT:
        raise _invalid(f"{digest} is larger than {MAX_DOCUMENT} bytes")
    data = path.read_bytes()
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
        raise _invalid(f"the content of {digest} has another digest")
    document = json.loads(data)
    if not isinstance(document, dict):
        raise _invalid(f"{digest} is no JSON object")
    return document, digest


def _store(layout: Path, media_type: str, data: bytes) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    path = blob_path(layout / "blobs", digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


def _checked(digest: str) -> str:
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise _invalid(f"{digest!r} is not a sha256 digest")
    return digest


def _invalid(why: str) -> InvalidImage:
    return InvalidImage(
        f"The image is not a valid OCI image: {why}",
        resolution="Push or save it again from where it was built.",
    )
