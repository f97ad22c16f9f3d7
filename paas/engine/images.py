"""Images: a configuration and a list of layers, and the names they go by."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paas.engine.config import ImageConfig
from paas.engine.layers import LayerId
from paas.engine.reference import InvalidReference, Reference, is_image_id, parse_reference
from paas.errors import NotFound
from paas.host.clock import Clock, SystemClock
from paas.host.database import Database

_DIGITS = re.compile(r"[0-9a-f]{4,64}")

__all__ = ["Image", "ImageConfig", "ImageNotFound", "Images", "canonical_json"]


class ImageNotFound(NotFound):
    """No image here has that id or name."""


@dataclass(frozen=True)
class Image:
    """Something to run: `id` is `sha256:…`, `layers` start with the lowest."""

    id: str
    config: ImageConfig
    layers: tuple[LayerId, ...]


def canonical_json(document: Mapping[str, Any]) -> bytes:
    """The one way a document is written before it is hashed."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


class Images:
    """The images of one engine."""

    def __init__(self, db: Database, clock: Clock | None = None) -> None:
        self._db = db
        self._clock = clock or SystemClock()

    def get(self, image: str) -> Image:
        """The image of an id. Raises `ImageNotFound`."""
        rows = self._db.execute("SELECT config FROM images WHERE image = ?", (image,))
        if not rows:
            raise ImageNotFound(f"There is no image {image}")
        layers = self._db.execute(
            "SELECT layer FROM image_layers WHERE image = ? ORDER BY position", (image,)
        )
        config = ImageConfig.from_json(json.loads(rows[0]["config"]))
        return Image(image, config, tuple(LayerId(row["layer"]) for row in layers))

    def resolve(self, ref: str | Reference) -> Image | None:
        """The image of an id or a name, if it is here.

        Raises `InvalidReference` for a text that can be neither.
        """
        if isinstance(ref, str) and is_image_id(ref):
            known = self._db.execute("SELECT image FROM images WHERE image = ?", (ref,))
            return self.get(ref) if known else None
        name = str(ref if isinstance(ref, Reference) else parse_reference(ref))
        rows = self._db.execute("SELECT image FROM refs WHERE ref = ?", (name,))
        return self.get(rows[0]["image"]) if rows else None

    def find(self, text: str) -> Image:
        """The image of a name, an id, or the first digits of an id.

        Raises `ImageNotFound`, also for digits that several ids begin with.
        """
        digits = text.removeprefix("sha256:")
        try:
            found = self.resolve(text)
        except InvalidReference:
            found = None
        if found is not None:
            return found
        if _DIGITS.fullmatch(digits):
            rows = self._db.execute(
                "SELECT image FROM images WHERE image LIKE ?", (f"sha256:{digits}%",)
            )
            if len(rows) == 1:
                return self.get(rows[0]["image"])
            if rows:
                raise ImageNotFound(f"Several images have an id that begins with {digits}")
        raise ImageNotFound(
            f"There is no image {text}", resolution="See the images that are here: images:list"
        )

    def mend(self, image: str, layers: Sequence[LayerId]) -> Image:
        """Make a known image of other layers of the same content: one of its own is damaged."""
        with self._db.transaction():
            self._db.execute("DELETE FROM image_layers WHERE image = ?", (image,))
            self._name_layers(image, layers)
        return self.get(image)

    def _name_layers(self, image: str, layers: Sequence[LayerId]) -> None:
        for position, layer in enumerate(layers):
            self._db.execute("INSERT INTO image_layers VALUES (?, ?, ?)", (image, position, layer))

    def add(
        self, config: ImageConfig, layers: Sequence[LayerId], *, image: str | None = None
    ) -> Image:
        """Keep an image; adding the same again is adding nothing.

        Its id is the sha256 of configuration and layer names, or `image`: a pulled one
        keeps the digest of its OCI configuration.
        """
        document = config.to_json()
        if image is None:
            whole = canonical_json({"config": document, "layers": list(layers)})
            image = f"sha256:{hashlib.sha256(whole).hexdigest()}"
        with self._db.transaction():
            if not self._db.execute("SELECT image FROM images WHERE image = ?", (image,)):
                # Written in its own order, unlike what is hashed: env keeps its order.
                self._db.execute(
                    "INSERT INTO images VALUES (?, ?, ?)",
                    (image, json.dumps(document), self._clock.now()),
                )
                self._name_layers(image, layers)
        return Image(image, config, tuple(layers))

    def tag(self, ref: str | Reference, image: str) -> None:
        """Let a name stand for an image; it may have stood for another before."""
        name = str(ref if isinstance(ref, Reference) else parse_reference(ref))
        self._db.execute(
            "INSERT INTO refs VALUES (?, ?) ON CONFLICT (ref) DO UPDATE SET image = excluded.image",
            (name, image),
        )

    def tag_all(self, images: Mapping[str, str]) -> None:
        """Let names stand for images, all of them or none."""
        with self._db.transaction():
            for ref, image in images.items():
                self.tag(ref, image)

    def untag(self, *refs: str | Reference) -> None:
        """Forget names, all of them or none; the images stay until they are collected."""
        with self._db.transaction():
            for ref in refs:
                name = str(ref if isinstance(ref, Reference) else parse_reference(ref))
                self._db.execute("DELETE FROM refs WHERE ref = ?", (name,))

    def refs(self) -> dict[str, str]:
        """Every name and the id of its image."""
        rows = self._db.execute("SELECT ref, image FROM refs ORDER BY ref")
        return {row["ref"]: row["image"] for row in rows}

    def list(self) -> list[Image]:
        """All images, the newest first."""
        rows = self._db.execute("SELECT image FROM images ORDER BY created_at DESC, image")
        return [self.get(row["image"]) for row in rows]

    def made_of(self, layer: LayerId) -> Sequence[str]:
        """The ids of the images that a layer is part of."""
        rows = self._db.execute(
            "SELECT DISTINCT image FROM image_layers WHERE layer = ? ORDER BY image", (layer,)
        )
        return [row["image"] for row in rows]

    def layers(self) -> set[LayerId]:
        """Every layer that some image is made of."""
        rows = self._db.execute("SELECT DISTINCT layer FROM image_layers")
        return {LayerId(row["layer"]) for row in rows}

    def remove(self, image: str) -> None:
        """Forget an image and its names; its layers stay until they are collected."""
        self._db.execute("DELETE FROM images WHERE image = ?", (image,))
