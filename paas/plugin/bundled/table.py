"""The one table of them: a name, as in plugins/NAME/plugin.toml, and what has the hooks."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from paas.plugin.bundled import secret_scan

PYTHON: Mapping[str, ModuleType] = {"secret-scan": secret_scan}
