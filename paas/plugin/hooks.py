"""Calling hooks: one pluggy manager for the plugins that are enabled now.

Bundled plugins are Python objects with methods that are called like hooks. A foreign one is
an object too, made here, whose methods run its programs. Whatever a plugin does wrong, an
exception, a time-out, an answer that is none, is the same to the caller: with `veto` it is
refused, and without it a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pluggy

from paas.errors import PaasError
from paas.model.env import Secret, revealed
from paas.plugin import hookspecs
from paas.plugin.answer import BadAnswer, hook_answer
from paas.plugin.bundled.table import PYTHON
from paas.plugin.declaration import HookRule
from paas.plugin.foreign import Plugin, PluginFailed, Programs, Task
from paas.plugin.hookspecs import HOOKS, Answer, Call, hookimpl

Load = Callable[[], Sequence[Plugin]]
Impl = Callable[[Call], Answer | None]


class Refused(PaasError):
    """A plugin that may refuse did, or failed where its consent was needed."""

    def __init__(self, plugin: Plugin, hook: str, why: str) -> None:
        first, *rest = why.splitlines() or [""]
        super().__init__(
            f"The plugin {plugin.name} ({hook}) refuses: {first}",
            rest,
            f"If it should not: an administrator can run paas plugin:disable {plugin.name}",
        )


class Hooks:
    """Calls the hooks of enabled plugins."""

    def __init__(self, load: Load, programs: Programs) -> None:
        """`load` says which plugins are enabled; it is asked for each call."""
        self._load = load
        self._programs = programs

    def ask(self, call: Call) -> Mapping[str, Secret]:
        """Ask all plugins with this hook, by name; the config vars that they answered.

        Raises `Refused` for the first one that refuses; the rest is not asked.
        """
        plugins = [one for one in self._load() if one.declaration.hook(call.hook)]
        if not plugins:
            return {}
        manager = self._manager(plugins)
        answers = getattr(manager.hook, HOOKS[call.hook].attribute)(call=call)
        config: dict[str, Secret] = {}
        for answer in answers:
            config |= answer.config
        return config

    def tell(self, plugin: Plugin, call: Call) -> None:
        """Tell one plugin of an event. Raises what it raises: `PaasError` or a bug of its."""
        manager = self._manager([plugin], guarded=False)
        getattr(manager.hook, HOOKS[call.hook].attribute)(call=call)

    def _manager(self, plugins: Sequence[Plugin], *, guarded: bool = True) -> pluggy.PluginManager:
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        # The one that was registered last is called first.
        for plugin in reversed(plugins):
            manager.register(self._implementer(plugin, guarded=guarded), plugin.name)
        manager.check_pending()
        return manager

    def _implementer(self, plugin: Plugin, *, guarded: bool) -> object:
        """An object with a method for each hook that the plugin declares, and no other."""
        methods: dict[str, Any] = {}
        for rule in plugin.declaration.hooks:
            does = _python(plugin, rule) if plugin.declaration.python else self._runs(plugin, rule)
            impl = _guarded(plugin, rule, does) if guarded else does
            methods[rule.hook.attribute] = staticmethod(hookimpl(impl))
        return type(plugin.name, (), methods)()

    def _runs(self, plugin: Plugin, rule: HookRule) -> Impl:
        """The hook as a program in a container."""

        def implementation(call: Call) -> Answer:
            may = plugin.declaration.permissions
            known = {key: value for key, value in call.config.items() if may.sees(key)}
            document = call.document()
            if known:
                document["config"] = revealed(known)
            task = Task(
                plugin,
                rule.program,
                "HOOK",
                rule.hook.name,
                call.app,
                document,
                source=call.source if may.source else None,
            )
            data = self._programs.ask(task, call.report)
            return hook_answer(data, rule.hook.name, may)

        return implementation


def _python(plugin: Plugin, rule: HookRule) -> Impl:
    """The hook as a function of the program's own."""
    found: Impl = getattr(PYTHON[plugin.name], rule.hook.attribute)

    def implementation(call: Call) -> Answer | None:
        return found(call)

    return implementation


def _guarded(plugin: Plugin, rule: HookRule, does: Impl) -> Impl:
    """`does`, whose refusal and whose failures have the weight that its plugin declares."""
    hook = rule.hook.name

    def implementation(call: Call) -> Answer:
        call.report.step(f"Asking the plugin {plugin.name} ({hook})")
        try:
            answer = does(call) or Answer()
        except (PluginFailed, BadAnswer) as error:
            return _failed(plugin, rule, call, error.brief)
        except PaasError as error:
            return _failed(plugin, rule, call, f"it could not be run: {error.brief}")
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises ends here
            return _failed(plugin, rule, call, f"it raised {type(error).__name__}: {error}")
        if answer.refuse and rule.veto:
            raise Refused(plugin, hook, answer.refuse)
        if answer.refuse:
            call.report.warn(f"The plugin {plugin.name} would refuse this: {answer.refuse}")
        return answer

    return implementation


def _failed(plugin: Plugin, rule: HookRule, call: Call, why: str) -> Answer:
    if rule.veto:
        raise Refused(plugin, rule.hook.name, f"it failed: {why}")
    call.report.warn(f"The plugin {plugin.name} ({rule.hook.name}) failed: {why}")
    return Answer()
