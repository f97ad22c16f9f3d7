"""Ships the content folders as data files; everything else is in pyproject.toml.

They are at the top of the checkout and not inside the package, so that nobody takes them
for code; `paas.host.content` finds them in either place.
"""

from pathlib import Path

from setuptools import setup

FOLDERS = ("buildpacks", "plugins", "proxy", "hooks")


def data_files() -> list[tuple[str, list[str]]]:
    """One entry per directory, as setuptools wants it."""
    entries: dict[str, list[str]] = {}
    for folder in FOLDERS:
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                entries.setdefault(f"share/paas/{path.parent}", []).append(str(path))
    return list(entries.items())


setup(data_files=data_files())
