"""What can be wrong with a build, said with the file and the line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from paas.errors import PaasError


class BuildError(PaasError):
    """A build that cannot be finished."""


class DockerfileError(BuildError):
    """The Dockerfile is wrong: found before anything ran."""


class StepFailed(BuildError):
    """A step ran and failed."""


class CannotFetch(BuildError):
    """Something remote is not to be had, or not what was promised."""


class ContextError(BuildError):
    """The tree that is built cannot be used as it is."""


class BadSubstitution(BuildError):
    """A `${…}` that means nothing; who knows the line says it again with the line."""


@dataclass(frozen=True)
class Location:
    """Where in which Dockerfile something stands; lines count from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    def error(
        self, message: str, details: Iterable[str] = (), resolution: str = ""
    ) -> DockerfileError:
        """An error in the text at this place, to be raised by the caller."""
        return DockerfileError(f"{self}: {message}", details, resolution)

    def failure(
        self, message: str, details: Iterable[str] = (), resolution: str = ""
    ) -> StepFailed:
        """A failure of the step at this place, to be raised by the caller."""
        return StepFailed(f"{self}: {message}", details, resolution)
