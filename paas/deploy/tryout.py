"""Building a directory of this machine: to try a Dockerfile out before it is pushed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from paas.deploy.sshagent import agents
from paas.engine.build.context import DirectoryContext
from paas.engine.build.dockerignore import unseen
from paas.engine.build.rules import Offer
from paas.engine.engine import Engine
from paas.engine.images import Image
from paas.errors import PaasError
from paas.model.builder import DOCKERFILE_PATH
from paas.model.env import Secret
from paas.model.report import Report

SCOPE = "tryout"
"""Whose cache mounts these builds have."""


class NoSuchDirectory(PaasError):
    """What is to be built is not a directory."""


@dataclass(frozen=True)
class Tryout:
    """One build. `secrets` and `ssh` (sockets of agents, or private keys) are by their ids."""

    directory: Path
    dockerfile: str = DOCKERFILE_PATH.default
    target: str | None = None
    tag: str | None = None
    args: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    ssh: Mapping[str, Path] = field(default_factory=dict)
    use_cache: bool = True

    def build(self, engine: Engine, report: Report) -> Image:
        """Build it; without a tag the image is for looking at, and collected later.

        Raises `NoSuchDirectory` and what a build of an app does.
        """
        if not self.directory.is_dir():
            raise NoSuchDirectory(f"{self.directory} is not a directory")
        report.step(f"Building {self.directory} from its {self.dockerfile}")
        context = DirectoryContext(
            self.directory, report, unseen=unseen(self.directory, self.dockerfile)
        )
        with agents(engine, self.ssh) as found:
            return engine.builder.build(
                context,
                report=report,
                dockerfile=self.dockerfile,
                build_args=self.args,
                target=self.target,
                tag=self.tag,
                use_cache=self.use_cache,
                offer=Offer(self.secrets, found, SCOPE),
            )
