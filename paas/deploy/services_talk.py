"""What is said to and by a running service: its client, its shell, its dump, its log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from paas.deploy import applogs
from paas.deploy.services import NoSuchAbility, ServiceOperations
from paas.host.terminal import Terminal
from paas.model.env import Secret
from paas.model.service import Service
from paas.plugin.manifest import ServiceManifest
from paas.plugin.service_runner import SHELL, Answer, NotRunning, log_directory
from paas.plugin.service_values import environment


@dataclass(frozen=True)
class ServiceTalk:
    """Commands in the container of a service, on the caller's descriptors."""

    operations: ServiceOperations

    def run(
        self,
        service: Service,
        command: str,
        terminal: Terminal,
        *,
        words: Sequence[str] = (),
        database: str = "",
    ) -> int:
        """Run one of the manifest's commands, with further words; the exit code is its.

        Streams go through unbuffered and unlogged. Raises `NotRunning`, `NoSuchAbility`.
        """
        manifest = self.operations.manifest(service)
        args = self._args(manifest, command)
        env = environment(manifest, _of_database(service, database))
        container = self.container(service)
        return self.operations.runner.attached(container, [*args, *words], terminal, env)

    def answer(self, service: Service, command: str, words: Sequence[str]) -> Answer:
        """The same without input, and what it says. Raises `NotRunning`, `NoSuchAbility`."""
        manifest = self.operations.manifest(service)
        args = self._args(manifest, command)
        env = environment(manifest, service)
        return self.operations.runner.ask(self.container(service), [*args, *words], env)

    def enter(self, service: Service, words: Sequence[str], terminal: Terminal) -> int:
        """Run a shell, or `words`, beside the server."""
        manifest = self.operations.manifest(service)
        args = words or manifest.commands.get("enter", SHELL)
        env = environment(manifest, service)
        return self.operations.runner.attached(self.container(service), args, terminal, env)

    def logs(
        self, service: Service, *, lines: int, follow: bool, out: Callable[[bytes], None]
    ) -> None:
        """Write the last lines of its server, and what follows until `out` raises."""
        directory = log_directory(self.operations.layout, service.id)
        applogs.show(directory, applogs.Wanted(lines, follow), applogs.Releases(dict), out)

    def container(self, service: Service) -> str:
        """The container to ask. Raises `NotRunning`."""
        current = self.operations.store.services.by_id(service.id)
        if current is None or current.container is None:
            raise NotRunning(service)
        if not self.operations.runner.runs(current.container):
            raise NotRunning(service)
        return current.container

    def _args(self, manifest: ServiceManifest, command: str) -> tuple[str, ...]:
        extra: Mapping[str, tuple[str, ...]] = {one.name: one.run for one in manifest.extra}
        args = manifest.commands.get(command) or extra.get(command)
        if args is None:
            raise NoSuchAbility(manifest, command)
        return args


def _of_database(service: Service, database: str) -> Service:
    if not database:
        return service
    return replace(service, credentials={**service.credentials, "database": Secret(database)})
