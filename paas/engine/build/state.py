"""How far a stage has come: the layers and the configuration that the next step sees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from paas.engine.build.instructions import Instruction
from paas.engine.config import History, ImageConfig
from paas.engine.images import Image
from paas.engine.layers import LayerId
from paas.engine.spec import DEFAULT_PATH


@dataclass(frozen=True)
class State:
    """Immutable: a step makes a new one.

    `created_at` is when the newest layer was made, in seconds since the epoch: with it,
    building the same again from the cache gives the very same image.
    """

    layers: tuple[LayerId, ...]
    config: ImageConfig
    created_at: float | None = None
    cmd_is_own: bool = False

    @classmethod
    def on_image(cls, image: Image) -> State:
        """A stage on an image; everything is looked up in a PATH, as in Docker."""
        return cls(image.layers, _with_path(image.config))

    @classmethod
    def on_nothing(cls) -> State:
        """A stage on `scratch`."""
        return cls((), _with_path(ImageConfig()))

    def begin(self) -> State:
        """As the base of another stage: whose CMD an ENTRYPOINT of that stage resets."""
        return replace(self, cmd_is_own=False)

    def add(self, layer: LayerId | None, made_at: float) -> State:
        """With what a step made."""
        newest = max(made_at, self.created_at or 0.0)
        layers = self.layers if layer is None else (*self.layers, layer)
        return replace(self, layers=layers, created_at=newest)

    def remember(self, step: Instruction, *, layer: bool) -> State:
        """With a line of history."""
        entry = History(step.text, self._created(), "paas", empty_layer=not layer)
        return replace(self, config=replace(self.config, history=(*self.config.history, entry)))

    def final_config(self) -> ImageConfig:
        """The configuration of the image that this is."""
        return replace(self.config, created=self._created())

    def _created(self) -> str | None:
        if self.created_at is None:
            return self.config.created
        return datetime.fromtimestamp(int(self.created_at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _with_path(config: ImageConfig) -> ImageConfig:
    if "PATH" in config.env:
        return config
    return replace(config, env={"PATH": DEFAULT_PATH, **config.env})
