"""What is kept of a buildpack build, so that its run image can be swapped without compiling.

An image of buildpacks is a run image with layers of its own on top: dependencies, then the
compiled app. Labels say how many those are and what they were made by; where that is the
same, they lie as well on a newer run image of the same stack.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from paas.engine.build.context import Context
from paas.engine.images import Image

LABEL = "paas.compilation"


@dataclass(frozen=True)
class Compilation:
    """`key` names the buildpacks and the stack; of the layers `own` are above the run image's.

    `total` is all of them: an image with more was changed since. `processes` are those of the
    Procfile and of the buildpacks, `config` is what these suggested.
    """

    key: str
    own: int
    total: int
    processes: Mapping[str, str]
    config: Mapping[str, str]

    @property
    def labels(self) -> dict[str, str]:
        """As an image keeps it."""
        return {LABEL: json.dumps(vars(self) | {"processes": dict(self.processes)})}


def compilation_of(image: Image) -> Compilation | None:
    """What an image was compiled by; None for one of something else."""
    text = image.config.labels.get(LABEL)
    return None if text is None else Compilation(**json.loads(text))


def key_of(scope: str, folders: Mapping[str, Context]) -> str:
    """A digest of the contents of buildpacks, in their order, and of `scope`."""
    found = hashlib.sha256(scope.encode())
    for name, context in folders.items():
        for path, entry in context.entries().items():
            found.update(json.dumps([name, path, entry.mode, entry.digest]).encode())
    return found.hexdigest()
