"""Sites to nginx text: pure, and the door to jinja2.

The result is a `Tree`: every file of a complete configuration, by its relative name, and
its generation, a digest of all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2

from paas.proxy.blocks import blocks, mount_folder, secured
from paas.proxy.exposed import Exposed
from paas.proxy.site import Site, SiteState

KEEPALIVE_MS = 100
"""How long an upstream connection may idle, and how long it may be reused.

For as long, a busy visitor may meet the old version after a switch: with 1000 ms a rollback
under a polling client took 0.84 s on top of the app's boot, with 100 ms 0.68 s; saturated, both
lost none of 20,000 requests. What a request costs in processor time falls with it (77
microseconds with 100 ms, 70 with 300), yet saturated, beside a proxy written by hand, 100 and
200 ms lose the same. Both limits lie below the shortest idle timeout of common app servers
(gunicorn's gthread: 2 s, Node: 5 s), so no request is sent into a connection that the app is
closing. Measured: an idle connection is only ever closed by `keepalive_timeout`, a busy one only
by `keepalive_time`; a drained instance needs both.
"""

KEEPALIVE_CONNECTIONS = 64
"""Idle upstream connections that one worker keeps per app."""

ROTATES_TICKETS, HTTP2_APART = (1, 23, 2), (1, 25, 1)
"""Versions of nginx that changed something (https://nginx.org/en/CHANGES)."""

LISTEN_TLS = "listen-tls.conf"
"""What the server blocks for HTTPS include."""

LOOKED_UP = "".join(
    f"{name} data:$paas_pem;\n" for name in ("ssl_certificate", "ssl_certificate_key")
)
"""What the server block has that meets a handshake before its name is known."""

STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
"""Where Debian and Ubuntu install libnginx-mod-stream."""

HEADERS = (
    ("Host", "$paas_host"),
    ("Upgrade", "$paas_upgrade"),
    ("Connection", "$paas_connection"),
    # Set and not appended to: this is the edge, what a client claims is not believed.
    ("X-Forwarded-For", "$remote_addr"),
    ("X-Forwarded-Proto", "$paas_scheme"),
    ("X-Forwarded-Host", "$paas_host"),
    ("X-Forwarded-Port", "$paas_port"),
    ("X-Real-IP", "$remote_addr"),
    ("Forwarded", "'for=$paas_for;host=$paas_quoted_host;proto=$paas_scheme'"),
    # Other names of the same claims, which frameworks believe too; and CVE-2016-5385.
    ("X-Forwarded-Ssl", '""'),
    ("X-Forwarded-Scheme", '""'),
    ("X-Forwarded-Server", '""'),
    ("X-Forwarded-Prefix", "$paas_prefix"),
    ("Proxy", '""'),
    ("X-Request-ID", "$request_id"),
    ("X-Request-Start", '"t=$msec"'),
)
"""What every request to an app carries, whoever asks."""


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
    http_port: int = 80
    addresses: tuple[str, ...] = ("0.0.0.0",)  # noqa: S104 - the default of every web server
    """What other ports are listened to on, in brackets where IPv6."""
    trusted: tuple[str, ...] = ()
    """Networks of load balancers, whose word on the client is taken."""
    proxy_protocol: bool = False
    unknown_page: bool = False
    http3: bool = False
    version: tuple[int, ...] = ()
    """Of the nginx that reads it: `(1, 22, 1)`."""
    resolvers: tuple[str, ...] = ()
    """Addresses of the DNS servers that nginx asks."""

    @property
    def rotates_tickets(self) -> bool:
        """Whether nginx changes the keys of session tickets by itself."""
        return self.version >= ROTATES_TICKETS

    @property
    def http2_apart(self) -> bool:
        """Whether HTTP/2 is a directive of its own; as an option of `listen` it warns then."""
        return self.version >= HTTP2_APART

    @property
    def url_ports(self) -> Mapping[str, str]:
        """What a URL says behind the host, by scheme."""
        http, https = self.http_port, self.https_port
        return {
            "http": f":{http}" if http != 80 else "",
            "https": f":{https}" if https != 443 else "",
        }


@dataclass(frozen=True)
class Tree:
    """A complete configuration: relative file name to text."""

    generation: str
    files: Mapping[str, str]


Files = Mapping[str, str]
"""The files of one app, by their names in a tree."""


@cache
def _environment(templates: Path) -> jinja2.Environment:
    """One for all: it keeps the templates it has compiled, and looks whether they are still so."""
    jinja = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 (nginx text, not HTML; `Site` admits no syntax)
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    jinja.filters["folder"] = mount_folder
    return jinja


def warm(templates: Path) -> None:
    """Compile all templates, for the children of this process: it takes 50 ms."""
    jinja = _environment(templates)
    for name in jinja.list_templates(extensions=["j2"]):
        jinja.get_template(name)


class Renderer:
    """Fills in the templates of one folder."""

    def __init__(self, templates: Path) -> None:
        """`templates` holds `nginx.conf.j2`, the templates of sites, and `pages`."""
        self._templates = templates
        self._jinja = _environment(templates)

    def site(self, site: Site, server: Server) -> str:
        """The main file of one app, its first line the site's identity."""
        return self._fill("site.conf.j2", site, server, blocks=blocks(site, server.url_ports))

    def files(self, site: Site | Exposed, server: Server) -> dict[str, str]:
        """Every file of one app, or of one exposed service."""
        if isinstance(site, Exposed):
            text = self._jinja.get_template("exposed.conf.j2").render(site=site, server=server)
            return {f"streams/{site.app}.tcp-{site.port}.conf": text}
        found = {site_file(site.app): self.site(site, server)}
        hosts = sorted({mount.host for mount in site.mounts})
        for host in hosts:
            paths = sorted(each.path for each in site.mounts if each.host == host)
            # The server block of a host of its own has its page already.
            foreign = host not in site.domains
            found[f"{mount_folder(host)}/{site.app}.conf"] = self._fill(
                "mount.conf.j2", site, server, paths=paths, foreign=foreign
            )
        looked_up = [each for each in site.tls if not each.at_start]
        if looked_up:
            found[f"pairs/{site.app}.conf"] = "".join(
                f"{name} {each.chain.stem};\n" for each in looked_up for name in each.domains
            )
        for each in site.listeners:
            kind = "stream" if each.port.scheme.raw else "listener"
            found[f"{kind}s/{site.app}.{each.upstream}.conf"] = self._fill(
                f"{kind}.conf.j2", site, server, each=each
            )
        if site.options.users:
            found[f"auth/{site.app}"] = site.options.users.replace(" ", "\n") + "\n"
        if site.page:
            found[f"own-pages/{site.app}.html"] = site.page
        return found

    def _fill(self, template: str, site: Site, server: Server, **more: object) -> str:
        return self._jinja.get_template(template).render(
            site=site,
            server=server,
            live=site.state is SiteState.LIVE,
            groups=secured(site),
            keepalive_ms=KEEPALIVE_MS,
            keepalive_connections=KEEPALIVE_CONNECTIONS,
            **more,
        )

    def tree(self, sites: Mapping[str, Files], server: Server) -> Tree:
        """The whole configuration around the files of `sites`, by app name.

        The main file carries the generation, which is the digest of all the rest: by it a
        running worker tells which configuration it has read.
        """
        files = {name: text for each in sites.values() for name, text in each.items()}
        files.update(self._pages())
        files["headers.conf"] = "".join(
            f"proxy_set_header {name} {value};\n" for name, value in HEADERS
        )
        files["grpc-headers.conf"] = files["headers.conf"].replace("proxy_set", "grpc_set")
        # Apart from the sites, so that nginx can be started on another port without them.
        option = " proxy_protocol" if server.proxy_protocol else ""
        files["listen.conf"] = "".join(f"listen {place}{option};\n" for place in server.listen)
        http2 = "" if server.http2_apart else " http2"
        files[LISTEN_TLS] = "".join(
            f"listen {place} ssl{http2}{option};\n" for place in server.listen_tls
        )
        if server.http2_apart:
            files[LISTEN_TLS] += "http2 on;\n"
        looked_up = any(name.startswith("pairs/") for name in files)
        if looked_up:
            files["looked-up.conf"] = LOOKED_UP
        # Not before there is a certificate: another program may be on that port until then.
        tls = any(LISTEN_TLS in text for text in files.values())
        if server.http3 and tls:
            files[LISTEN_TLS] += _http3(server)
        streams = any(name.startswith("streams/") for name in files)
        modules = [STREAM_MODULE] if streams else []
        main = self._jinja.get_template("nginx.conf.j2")
        stapled = any("ssl_stapling on;" in text for text in files.values())
        given = {
            "server": server,
            "tls": tls,
            "modules": modules,
            "looked_up": looked_up,
            "stapled": stapled,
        }
        unnamed = main.render(**given, generation="")
        generation = _digest({**files, "nginx.conf": unnamed})
        files["nginx.conf"] = main.render(**given, generation=generation)
        return Tree(generation, files)

    def _pages(self) -> Iterable[tuple[str, str]]:
        for page in sorted((self._templates / "pages").iterdir()):
            yield f"pages/{page.name}", page.read_text("utf-8")


def _http3(server: Server) -> str:
    """RFC 9114 beside TLS over TCP; `Alt-Svc` (RFC 7838) tells browsers of it."""
    places = "".join(f"listen {place} quic;\n" for place in server.listen_tls)
    return places + f"add_header Alt-Svc 'h3=\":{server.https_port}\"; ma=86400';\n"


def site_file(app: str) -> str:
    """Where the main file of one app is in a tree."""
    return f"sites/{app}.conf"


def app_of(name: str) -> str | None:
    """Whose file it is; None for one that all share."""
    folder, _, rest = name.partition("/")
    if folder not in ("sites", "pairs", "mounts", "listeners", "streams", "auth", "own-pages"):
        return None
    return rest.rpartition("/")[2].partition(".")[0]


def identity_of(files: Files, app: str) -> str:
    """The identity that the first line of a site's main file states."""
    return files.get(site_file(app), "").partition("\n")[0].removeprefix("# ")


def _digest(files: Mapping[str, str]) -> str:
    """16 hex digits; lengths keep one file's end apart from the next one's name."""
    whole = hashlib.sha256()
    for name in sorted(files):
        for part in (name.encode(), files[name].encode()):
            whole.update(b"%d:" % len(part) + part)
    return whole.hexdigest()[:16]
