"""Complete configurations on disk, of which one is current.

    <prefix>/generations/<generation>/{nginx.conf,sites/*.conf,pages/*.html,…}
    <prefix>/current -> generations/<generation>

A new one is written beside the others and becomes current by one rename of the symlink,
so nginx never reads half a configuration, whatever kills the writer.
"""

from __future__ import annotations

import os
from pathlib import Path

from paas.host.files import remove_tree, sync_directory, sync_filesystem
from paas.host.syscalls import RENAME_EXCHANGE, renameat2
from paas.proxy.render import Tree, app_of

KEPT = 3
"""Generations that stay on disk: the current one and what it replaced, for the curious."""


WORKERS_READ = ("pages/", "own-pages/", "auth/")
"""What workers open themselves; all else the master reads."""


class Generations:
    """The configurations below one prefix. Callers hold the proxy's lock."""

    def __init__(self, prefix: Path) -> None:
        self._all = prefix / "generations"
        self._current = prefix / "current"

    @property
    def main_file(self) -> Path:
        """What nginx is started with; the same path for every generation."""
        return self._current / "nginx.conf"

    def current(self) -> str | None:
        """The generation that nginx reads when it is started or reloaded."""
        try:
            return self._current.readlink().name
        except FileNotFoundError:
            return None

    def current_sites(self) -> dict[str, dict[str, str]]:
        """The current files of each app, by app name."""
        # Without the link: what it leads to is one generation to the end.
        return self.sites(self.current())

    def sites(self, generation: str | None) -> dict[str, dict[str, str]]:
        """The files of each app of a generation, by app name; none of one that is gone."""
        found: dict[str, dict[str, str]] = {}
        if generation is None:
            return found
        folder = self._all / generation
        for path in folder.rglob("*"):
            name = str(path.relative_to(folder))
            app = app_of(name)
            if app is not None and path.is_file():
                found.setdefault(app, {})[name] = path.read_text("utf-8")
        return found

    def stage(self, tree: Tree) -> Path:
        """Write a candidate and return its main file.

        What is in the current generation too is a link to it: files are never changed, only
        replaced, and of a thousand sites most stay as they are.
        """
        staged, current = self._all / f"staged-{tree.generation}", self._current.resolve()
        remove_tree(staged)  # left by a writer that was killed
        staged.mkdir()
        staged.chmod(0o755)  # not narrowed by the umask
        for name, text in tree.files.items():
            path = staged / name
            workers = name.startswith(WORKERS_READ)
            for folder in reversed(path.relative_to(staged).parents[:-1]):
                if not (staged / folder).exists():
                    (staged / folder).mkdir()
                    (staged / folder).chmod(0o755 if workers else 0o700)
            if _link_equal(current / name, path, text):
                continue
            path.write_text(text, "utf-8")
            path.chmod(0o640 if name.startswith("auth/") else 0o644 if workers else 0o600)
            if name.startswith("auth/"):
                os.chown(path, 0, self._all.stat().st_gid)
        return staged / "nginx.conf"

    def discard(self, tree: Tree) -> None:
        """Forget a candidate."""
        remove_tree(self._all / f"staged-{tree.generation}")

    def install(self, tree: Tree) -> None:
        """Make a staged candidate the current generation; on disk before it is named."""
        staged, final = self._all / f"staged-{tree.generation}", self._all / tree.generation
        sync_filesystem(staged)
        if final.exists():
            # It may be the current one: at no moment may its name lead nowhere.
            renameat2(staged, final, RENAME_EXCHANGE)
            remove_tree(staged)
        else:
            staged.rename(final)
        self.point_to(tree.generation)

    def point_to(self, generation: str) -> None:
        """Make a generation that is on disk the current one."""
        fresh = self._current.with_name(f".current.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(Path("generations") / generation)
        fresh.replace(self._current)
        sync_directory(self._current.parent)

    def prune(self) -> None:
        """Remove all but the newest generations; never the current one."""
        newest_first = sorted(
            self._all.iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True
        )
        for path in newest_first[KEPT:]:
            if path.name != self.current():
                remove_tree(path)


def _link_equal(known: Path, path: Path, text: str) -> bool:
    """Make `path` a link to a file that has this very text; says whether it has."""
    try:
        if known.read_text("utf-8") != text:
            return False
        path.hardlink_to(known)
    except (FileNotFoundError, UnicodeDecodeError):
        return False
    return True
