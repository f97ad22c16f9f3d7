"""Which instruction made which layer: the history of an image beside its layers."""

from __future__ import annotations

from dataclasses import dataclass

from paas.engine.config import History
from paas.engine.images import Image
from paas.engine.layers import LayerId, Layers


@dataclass(frozen=True)
class Made:
    """One line of an image's history; `layer` is None where no file was changed."""

    created: str
    created_by: str
    layer: LayerId | None
    bytes: int
    comment: str = ""


def history(image: Image, layers: Layers) -> list[Made]:
    """The newest line first, as `docker history` has it.

    An image whose history tells of fewer layers than it has (by other tools) shows the
    others without an instruction.
    """
    told = [line for line in image.config.history if not line.empty_layer]
    untold = [History("")] * max(0, len(image.layers) - len(told))
    left = iter(image.layers)
    lines = []
    for line in (*untold, *image.config.history):
        layer = None if line.empty_layer else next(left, None)
        size = layers.size(layer) if layer is not None else 0
        lines.append(Made(line.created or "", line.created_by, layer, size, line.comment or ""))
    return lines[::-1]
