"""The commands of ports: those of the server that lead to an app."""

from __future__ import annotations

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option, words
from paas.cli.output import columns
from paas.cli.session import Session
from paas.model.app import App
from paas.model.port import Port, parse_port


def add(session: Session, app: App, ports: tuple[str, ...]) -> None:
    """Lead ports of the server to an app."""
    found = list(map(parse_port, ports))
    session.platform.edge.add_ports(app, found, actor=session.actor, report=session.report)
    _tell(session, app, found)


def replace(session: Session, app: App, ports: tuple[str, ...]) -> None:
    """Lead these ports to an app and no others."""
    found = list(map(parse_port, ports))
    session.platform.edge.set_ports(app, found, actor=session.actor, report=session.report)
    _tell(session, app, found)


def remove(session: Session, app: App, ports: tuple[str, ...]) -> None:
    """No longer lead ports to an app."""
    found = list(map(parse_port, ports))
    session.platform.edge.remove_ports(app, found, actor=session.actor, report=session.report)
    for port in found:
        session.report.step(f"Port {port.port} does not lead to {app.name} any more")


def clear(session: Session, app: App) -> None:
    """Lead no ports but 80 and 443 to an app."""
    session.platform.edge.set_ports(app, (), actor=session.actor, report=session.report)
    session.report.step(f"{app.name} is reached on ports 80 and 443 alone")


def list_ports(session: Session, app: App | None, form: str) -> None:
    """Print which ports lead to an app, or to all."""
    apps = [app] if app else session.apps()
    found = [(each.name, port) for each in apps for port in session.store.ports.list(each.id)]
    if form == "json":
        session.output.json([_entry(name, port) for name, port in found])
        return
    session.report.result(f"{app.name} port mappings" if app else "Port mappings")
    rows = [(name, port.scheme.value, str(port.port), str(port.target)) for name, port in found]
    for line in columns([("app", "scheme", "host port", "app port"), *rows]):
        session.output.line(line)


def _entry(app: str, port: Port) -> dict[str, object]:
    return {
        "app": app,
        "scheme": port.scheme.value,
        "host_port": port.port,
        "container_port": port.target,
    }


def _tell(session: Session, app: App, ports: list[Port]) -> None:
    for port in ports:
        session.report.step(
            f"Port {port.port} ({port.scheme}) leads to port {port.target} of {app.name}"
        )


_PORTS = (words("ports", "SCHEME:PORT:APP-PORT"),)

COMMANDS = (
    Command(
        "ports:add",
        "Lead ports of the server to ports of an app",
        Access.DEPLOY,
        add,
        Names.AN_APP,
        arguments=_PORTS,
        description="Schemes: http, https, grpc, grpcs (with the app's certificates), and tcp and "
        "udp, passed on as they are. http:80:N and https:443:N say where in the app those two "
        "lead, which is $PORT otherwise. A port leads to one app.",
    ),
    Command(
        "ports:set",
        "Lead these ports to an app and no others",
        Access.DEPLOY,
        replace,
        Names.AN_APP,
        arguments=(words("ports", "SCHEME:PORT:APP-PORT"),),
    ),
    Command(
        "ports:remove",
        "Lead ports to an app no longer",
        Access.DEPLOY,
        remove,
        Names.AN_APP,
        arguments=(words("ports", "SCHEME:PORT:APP-PORT"),),
    ),
    Command("ports:clear", "Forget an app's port mappings", Access.DEPLOY, clear, Names.AN_APP),
    Command(
        "ports:list",
        "List the port mappings of an app, or of all",
        Access.VIEW,
        list_ports,
        Names.MAYBE_AN_APP,
        options=(format_option(),),
    ),
)
