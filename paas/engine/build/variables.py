"""What `$NAME` means at one place of a stage: ENV, then ARG.

Rules of the Dockerfile reference, "Scope" and "Using ARG variables": an ARG is known
from its line on, in the stages on top of its own too; ENV always wins over an ARG of the
same name; the proxy variables are build arguments without being declared, reach RUN, and
are in no cache key.
"""

from __future__ import annotations

from collections.abc import Mapping

from paas.engine.build import instructions as ins
from paas.engine.build.errors import BadSubstitution
from paas.engine.build.words import expand, expand_document

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
PREDEFINED = frozenset(name for upper in _PROXIES for name in (upper, upper.lower()))
_NOT_IN_RUN = frozenset({"SOURCE_DATE_EPOCH"})


class Variables:
    """The build arguments of one stage, as its instructions are walked in order."""

    def __init__(
        self,
        build_args: Mapping[str, str],
        global_args: Mapping[str, str],
        escape: str,
        inherited: Mapping[str, str] | None = None,
    ) -> None:
        """`inherited` are the arguments that the stage below this one has at its end."""
        self._build_args = build_args
        self._global_args = global_args
        self._escape = escape
        self._args: dict[str, str] = dict(inherited or {})

    @property
    def args(self) -> Mapping[str, str]:
        """The arguments so far; a stage on top of this one begins with them."""
        return self._args

    def declare(self, arg: ins.Arg, env: Mapping[str, str]) -> None:
        """An ARG: its value is the build argument, else the global one, else its default."""
        for raw, default in arg.pairs:
            name = self.expand(arg, raw, env)
            if name in self._build_args:
                self._args[name] = self._build_args[name]
            elif default is not None:
                self._args[name] = self.expand(arg, default, env)
            elif name in self._global_args:
                self._args[name] = self._global_args[name]

    def expand(self, step: ins.Instruction, text: str, env: Mapping[str, str]) -> str:
        """A word with its variables. Raises `DockerfileError` at the instruction."""
        if "$" not in text and self._escape not in text and "'" not in text and '"' not in text:
            return text
        try:
            return expand(text, {**self._args, **env}, self._escape)
        except BadSubstitution as error:
            raise step.at.error(error.brief) from None

    def expand_document(self, step: ins.Instruction, text: str, env: Mapping[str, str]) -> str:
        """An inline document with its variables. Raises `DockerfileError`."""
        try:
            return expand_document(text, {**self._args, **env}, self._escape)
        except BadSubstitution as error:
            raise step.at.error(error.brief) from None

    def for_run(self, env: Mapping[str, str]) -> dict[str, str]:
        """The environment of a RUN: arguments, then ENV over them."""
        args = {name: value for name, value in self._args.items() if name not in _NOT_IN_RUN}
        return {**args, **env}

    def proxies(self) -> dict[str, str]:
        """The proxy arguments that were given: in RUN by both of their names, in no key.

        As in BuildKit: of the programs that heed them some know one name, some the other.
        """
        given = {name: value for name, value in self._build_args.items() if name in PREDEFINED}
        return {
            name: value
            for upper in _PROXIES
            for value in (given.get(upper) or given.get(upper.lower()),)
            if value
            for name in (upper, upper.lower())
        }
