"""Plugins as tests use them: the examples in `tests/fixtures/plugins`, and an app for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.push import apps, gitserver
from tests.push.outcome import Outcome
from tests.push.repository import Files, Repository
from tests.push.server import Server

EXAMPLES = Path(__file__).parents[1] / "fixtures/plugins"

SERVE = {
    "Dockerfile": apps.STACK + "COPY . /app/\nWORKDIR /app\n",
    "Procfile": "web: exec perl serve.pl\n",
    "serve.pl": """
use IO::Socket::INET;
my $s = IO::Socket::INET->new(LocalPort => $ENV{PORT}, Listen => 9, ReuseAddr => 1) or die;
while (my $c = $s->accept) {
    while (<$c>) { last if /^\\r/ }
    print $c "HTTP/1.0 200 OK\\r\\n\\r\\ngated by $ENV{GATED_BY}\\n";
    close $c;
}
""",
}
"""An app that needs nothing but the stack."""


def example(name: str) -> dict[str, str]:
    """The files of an example, as a repository has them."""
    folder = EXAMPLES / name
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


@contextmanager
def enabled(server: Server, name: str) -> Iterator[Outcome]:
    """An example in use; gone behind the block."""
    server.paas("plugin:install", str(EXAMPLES / name)).ok()
    try:
        yield server.paas("plugin:enable", name).ok()
    finally:
        server.paas("plugin:uninstall", name, "--force").ok()


def known(server: Server, name: str) -> dict[str, Any]:
    """What `plugin:info` says of one."""
    told = server.paas("plugin:info", name, "--format", "json").ok()
    found: dict[str, Any] = json.loads(told.out)
    return found


def published(folder: Path, name: str, files: Files, server: Server) -> Repository:
    """A plugin in a bare repository below `folder`."""
    work = gitserver.publish(folder, name, {"README.md": name}, server.env)
    change(work, files)
    return work


def change(work: Repository, files: Files) -> str:
    """Commit files, of which those in bin/ are programs, and push them; the commit's id."""
    work.write(files)
    for path in (work.folder / "bin").glob("*"):
        if not path.is_symlink():
            path.chmod(0o755)
    commit = work.commit()
    work.push().ok()
    return commit
