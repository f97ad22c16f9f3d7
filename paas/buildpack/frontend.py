"""A front-end: what node builds and nginx serves, such as an app of Vite's."""

from __future__ import annotations

import json

PACKAGE_JSON = "package.json"
FRONT_END = ("node", "static")
"""The buildpacks that make one, in their order."""

BUNDLERS = frozenset(
    {"vite", "react-scripts", "@vue/cli-service", "@angular/cli", "parcel", "webpack", "astro"}
)


def is_front_end(package_json: str | None) -> bool:
    """Whether it has a `build` script by a bundler, and nothing that would start a server.

    What cannot be read is for the node buildpack to refuse.
    """
    try:
        found = json.loads(package_json or "")
    except (ValueError, RecursionError):
        return False
    if not isinstance(found, dict):
        return False
    scripts, needs = ({**_table(found.get(name))} for name in ("scripts", "devDependencies"))
    needs |= _table(found.get("dependencies"))
    return "build" in scripts and "start" not in scripts and not BUNDLERS.isdisjoint(needs)


def _table(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
