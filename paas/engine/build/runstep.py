"""RUN: what it runs, what it mounts, and what of that is in its key."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from paas.engine.build import instructions as ins
from paas.engine.build.agents import DEFAULT_ID, AgentSocket
from paas.engine.build.cache import Input, step_key
from paas.engine.build.configure import shell_form
from paas.engine.build.context import Context
from paas.engine.build.errors import BuildError
from paas.engine.build.maker import Maker
from paas.engine.build.mounts import SecretFile, Wanted, missing
from paas.engine.build.read_mount import BIND, CACHE, SECRET, SSH, MountFlag, parse_mount
from paas.engine.build.run import SCRIPTS, Command
from paas.engine.build.select import content_key, select
from paas.engine.build.sources import ContextSource, TreeSource
from paas.engine.build.state import State
from paas.engine.build.variables import Variables
from paas.model.env import Secret

SECRETS = "/run/secrets"
AGENT = "/run/buildkit/ssh_agent.{}"
"""Where the agents of a step are unless it says so, as in BuildKit."""
AGENT_VARIABLE = "SSH_AUTH_SOCK"

Origin = Callable[[ins.Instruction, str], State]
"""The stage or image that a `from` means."""


class RunStep:
    """The RUNs of one stage."""

    def __init__(
        self, maker: Maker, context: Context, variables: Variables, origin: Origin
    ) -> None:
        self._maker = maker
        self._context = context
        self._variables = variables
        self._origin = origin

    def after(self, state: State, step: ins.Run) -> State:
        """The state after a RUN."""
        command = self._command(state, step)
        inputs: dict[str, Input] = {
            "args": command.args,
            "env": self._variables.for_run(state.config.env),
            "script": command.script.content if command.script else None,
            "user": state.config.user,
            "workdir": state.config.workdir,
            "network": command.network,
        }
        if not step.mounts:
            key = step_key("run", state.layers, **inputs)
            return self._made(state, step, key, command, ())
        flags = [self._flag(state, step, mount) for mount in step.mounts]
        command = self._with_secrets(step, command, flags)
        command = self._with_agents(step, command, flags)
        # Neither secrets nor what a cache holds are part of a key: only how they are named,
        # and for whom: what is made with them is nobody else's.
        inputs["mounts"] = [_named(flag) for flag in flags]
        if self._has_offered(flags):
            inputs["scope"] = self._maker.rules.offer.scope
        wanted = [self._wanted(step, flag) for flag in flags]
        return self._made_with_mounts(state, step, inputs, command, wanted)

    def _command(self, state: State, step: ins.Run) -> Command:
        args = shell_form(state.config, step.args) if step.shell else step.args
        if step.script is not None:
            args = (f"{SCRIPTS}/{step.script.name}",)
        return Command(
            args,
            self._variables.for_run(state.config.env),
            script=step.script,
            network=step.network,
            hidden_env=self._variables.proxies(),
        )

    def _made(
        self, state: State, step: ins.Run, key: str, command: Command, wanted: Sequence[Wanted]
    ) -> State:
        maker = self._maker

        def make(upper: Path) -> None:
            runner, report = maker.tools.runner, maker.progress.report
            with maker.tools.mounts.provided(
                wanted, command.secrets, command.agents, maker.rules
            ) as provided:
                given = replace(command, mounts=provided.mounts, tmpfs=provided.tmpfs)
                runner.run(given, step, state.layers, state.config, upper, maker.rules, report)

        return maker.made(state, step, key, make)

    def _made_with_mounts(
        self,
        state: State,
        step: ins.Run,
        inputs: dict[str, Input],
        command: Command,
        wanted: Sequence[Wanted],
    ) -> State:
        own = [content_key(one.source, one.selected) if one.source else None for one in wanted]
        origins = [one for one in wanted if one.layers is not None and one.flag.kind == BIND]
        if not origins:
            key = step_key("run", state.layers, **inputs, context=own)
            return self._made(state, step, key, command, wanted)
        layers = [one.layers for one in origins]
        by_origin = step_key("run-from", state.layers, **inputs, context=own, origins=layers)

        def make() -> tuple[State, str]:
            contents = [self._content(one) for one in origins]
            key = step_key("run", state.layers, **inputs, context=own, origins=contents)
            return self._made(state, step, key, command, wanted), key

        return self._maker.made_from(state, step, by_origin, make)

    def _content(self, one: Wanted) -> str:
        with self._maker.tools.workspace.tree(one.layers or ()) as root:
            source = TreeSource(root)
            selected = select(source, one.flag.source or "/")
            if selected is None:
                raise missing(one.at, one.flag)
            return content_key(source, selected)

    def _flag(self, state: State, step: ins.Run, mount: ins.RunMount) -> MountFlag:
        """A mount with its variables, its target absolute. Raises `DockerfileError`."""
        env = state.config.env
        flag = parse_mount(
            step.at, mount.text, lambda text: self._variables.expand(step, text, env)
        )
        if flag.kind == SSH:
            return replace(flag, id=flag.id or DEFAULT_ID)
        if flag.kind == SECRET:
            return replace(flag, id=flag.id or posixpath.basename(flag.target))
        target = posixpath.normpath(posixpath.join("/", state.config.workdir, flag.target))
        target = "/" + target.lstrip("/")
        if target == "/":
            raise step.at.error(f'invalid mount target "{flag.target or "/"}"')
        return replace(flag, target=target, id=flag.id or target)

    def _wanted(self, step: ins.Run, flag: MountFlag) -> Wanted:
        if flag.kind not in (BIND, CACHE):
            return Wanted(flag, step.at)
        if flag.origin is not None:
            return Wanted(flag, step.at, layers=self._origin(step, flag.origin).layers)
        if flag.kind == CACHE:
            return Wanted(flag, step.at)
        source = ContextSource(self._context)
        try:
            selected = select(source, flag.source or "/")
        except BuildError as error:
            raise step.at.failure(
                f"RUN --mount: {error.brief}", resolution=error.resolution
            ) from None
        if selected is None:
            raise missing(step.at, flag)
        return Wanted(flag, step.at, source=source, selected=selected)

    def _with_secrets(self, step: ins.Run, command: Command, flags: Sequence[MountFlag]) -> Command:
        """With the secrets that are offered. Raises `StepFailed` for a required one that is not."""
        offer, found, env = self._maker.rules.offer, [], dict(command.env)
        for flag in flags:
            if flag.kind != SECRET:
                continue
            value = offer.secrets.get(flag.id)
            if value is None:
                if flag.required:
                    raise step.at.failure(
                        f"secret {flag.id}: not found",
                        resolution="Let the build see it: builder:set APP build-config"
                        f" {flag.id} makes the config var of that name one.",
                    )
                continue
            if flag.env:
                env[flag.env] = value
            if flag.target or not flag.env:
                found.append(_secret_file(flag, value))
        return replace(command, env=env, secrets=tuple(found))

    def _with_agents(self, step: ins.Run, command: Command, flags: Sequence[MountFlag]) -> Command:
        """The same for agents. The variable is set for one that is not offered too."""
        wanted = [flag for flag in flags if flag.kind == SSH]
        found, targets = [], []
        for number, flag in enumerate(wanted):
            target = posixpath.normpath(posixpath.join("/", flag.target or AGENT.format(number)))
            if target == "/":
                raise step.at.error('invalid mount target "/"')
            targets.append(target)
            agent = self._maker.rules.offer.agents.get(flag.id)
            if agent is not None:
                mode = 0o600 if flag.mode is None else flag.mode
                found.append(AgentSocket(target, agent, mode, flag.uid or 0, flag.gid or 0))
            elif flag.required:
                raise step.at.failure(
                    f'no SSH key "{flag.id}" forwarded from the client',
                    resolution="Let the builds of the app use the server's key: builder:set APP"
                    " ssh-key on; or with `paas build`, your agent: --ssh.",
                )
        env = {AGENT_VARIABLE: targets[0], **command.env} if targets else command.env
        return replace(command, env=env, agents=tuple(found))

    def _has_offered(self, flags: Sequence[MountFlag]) -> bool:
        offer = self._maker.rules.offer
        kinds = {SECRET: offer.secrets, SSH: offer.agents}
        return any(flag.id in kinds.get(flag.kind, {}) for flag in flags)


def _named(flag: MountFlag) -> list[Input]:
    """What of a mount is in the key."""
    return [
        flag.kind, flag.target, flag.source, flag.id, flag.read_only, flag.sharing, flag.env,
        flag.mode, flag.uid, flag.gid, flag.size,
    ]  # fmt: skip


def _secret_file(flag: MountFlag, value: Secret) -> SecretFile:
    target = flag.target or f"{SECRETS}/{posixpath.basename(flag.id)}"
    mode = 0o400 if flag.mode is None else flag.mode
    path = posixpath.normpath(posixpath.join("/", target))
    return SecretFile(path, value, mode, flag.uid or 0, flag.gid or 0)
