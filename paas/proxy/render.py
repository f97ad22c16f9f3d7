"""Sites to nginx text: pure, and the door to jinja2.

The result is a `Tree`: every file of a complete configuration, by its relative name, and
its generation, a digest of all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2

from paas.proxy.site import Site

KEEPALIVE_MS = 100
"""How long an upstream connection may idle, and how long it may be reused.

For as long, a busy visitor may meet the old version after a switch: with 1000 ms a rollback
under a polling client took 0.84 s on top of the app's boot, with 100 ms 0.68 s, and a push
0.14 s instead of 0.46 s; saturated, both lost none of 20,000 requests. Both limits lie
below the shortest idle timeout of common app servers (gunicorn's gthread: 2 s, Node: 5 s),
so no request is sent into a connection that the app is closing. Measured: an
idle connection is only ever closed by `keepalive_timeout`, a busy one only by
`keepalive_time`; a drained instance needs both.
"""

KEEPALIVE_CONNECTIONS = 64
"""Idle upstream connections that one worker keeps per app."""

LISTEN_TLS = "listen-tls.conf"
"""What the server blocks for HTTPS include."""


@dataclass(frozen=True)
class Server:
    """What all sites share: where nginx listens, keeps its files, and whom it runs as."""

    listen: tuple[str, ...]
    """`address:port` for plain HTTP, one `listen` directive each."""
    user: str
    prefix: Path
    run: Path
    logs: Path
    listen_tls: tuple[str, ...] = ()
    """`address:port` for HTTPS."""
    https_port: int = 443


@dataclass(frozen=True)
class Tree:
    """A complete configuration: relative file name to text."""

    generation: str
    files: Mapping[str, str]


class Renderer:
    """Fills in the templates of one folder."""

    def __init__(self, templates: Path) -> None:
        """`templates` holds `nginx.conf.j2`, `site.conf.j2` and `pages/*.html`."""
        self._templates = templates
        self._jinja = jinja2.Environment(
            loader=jinja2.FileSystemLoader(templates),
            undefined=jinja2.StrictUndefined,
            autoescape=False,  # noqa: S701 (nginx text, not HTML; `Site` admits no syntax)
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )

    def site(self, site: Site, server: Server) -> str:
        """The file of one app, its first line the site's identity."""
        return self._jinja.get_template("site.conf.j2").render(
            site=site,
            server=server,
            keepalive_ms=KEEPALIVE_MS,
            keepalive_connections=KEEPALIVE_CONNECTIONS,
        )

    def tree(self, sites: Mapping[str, str], server: Server) -> Tree:
        """The whole configuration around the texts of `sites`, by app name.

        The main file carries the generation, which is the digest of all the rest: by it a
        running worker tells which configuration it has read.
        """
        files = {site_file(app): text for app, text in sites.items()}
        files.update(self._pages())
        # Apart from the sites, so that nginx can be started on another port without them.
        files["listen.conf"] = "".join(f"listen {place};\n" for place in server.listen)
        files[LISTEN_TLS] = "".join(f"listen {place} ssl http2;\n" for place in server.listen_tls)
        # Not before there is a certificate: another program may be on that port until then.
        tls = any(LISTEN_TLS in text for text in sites.values())
        main = self._jinja.get_template("nginx.conf.j2")
        unnamed = main.render(server=server, tls=tls, generation="")
        generation = _digest({**files, "nginx.conf": unnamed})
        files["nginx.conf"] = main.render(server=server, tls=tls, generation=generation)
        return Tree(generation, files)

    def _pages(self) -> Iterable[tuple[str, str]]:
        for page in sorted((self._templates / "pages").glob("*.html")):
            yield f"pages/{page.name}", page.read_text("utf-8")


def site_file(app: str) -> str:
    """Where the text of one app is in a tree."""
    return f"sites/{app}.conf"


def identity_of(text: str) -> str:
    """The identity that the first line of a site's file states."""
    return text.partition("\n")[0].removeprefix("# ")


def _digest(files: Mapping[str, str]) -> str:
    """16 hex digits; lengths keep one file's end apart from the next one's name."""
    whole = hashlib.sha256()
    for name in sorted(files):
        for part in (name.encode(), files[name].encode()):
            whole.update(b"%d:" % len(part) + part)
    return whole.hexdigest()[:16]
