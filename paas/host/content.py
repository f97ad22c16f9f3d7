"""Where the content folders are: `buildpacks`, `plugins`, `proxy`, `hooks`.

They hold no program code. In a checkout they are beside the package; an installed paas
has them as data files below its prefix (see `setup.py`).
"""

from __future__ import annotations

import sys
from pathlib import Path

from paas.errors import PaasError

FOLDERS = ("buildpacks", "plugins", "proxy", "hooks")


class ContentMissing(PaasError):
    """The installation is not whole."""


def content(folder: str) -> Path:
    """The directory of one of `FOLDERS`. Raises `ContentMissing`."""
    checkout = Path(__file__).parents[2]
    candidates = (checkout / folder, Path(sys.prefix) / "share/paas" / folder)
    for candidate in candidates:
        # `site-packages/proxy` could be anybody's: only a checkout has a pyproject.toml.
        if candidate.is_dir() and (candidate != candidates[0] or _is_checkout(checkout)):
            return candidate
    raise ContentMissing(
        f"The folder {folder} of this installation is missing",
        resolution="Run ./install.sh again: it restores it.",
    )


def _is_checkout(directory: Path) -> bool:
    return (directory / "pyproject.toml").is_file()
