"""Reading RUN: its forms, documents and flags."""

from __future__ import annotations

import re

from paas.engine.build.flags import Flags
from paas.engine.build.instructions import Document, Run
from paas.engine.build.parse import Node
from paas.engine.build.read_copy import HEREDOC

_FLAGS = {"mount": "list", "network": "text", "security": "text"}
_INSTEAD = {
    "bind": "COPY the files in, and let a later stage take only what it needs.",
    "cache": "Leave the flag out: the layer itself is kept until what it is made of changes.",
}


def read_run(node: Node) -> Run:
    """RUN. Raises `DockerfileError`, for a mount or network this engine does not have."""
    flags = Flags(node, _FLAGS)
    if not any(node.words):
        raise node.at.error("RUN requires at least one argument")
    network = (flags.text("network") or "default").lower()
    if network not in ("default", "none"):
        raise node.at.error(
            f"RUN --network={network} is not allowed here", resolution="Use default or none."
        )
    if (flags.text("security") or "sandbox") != "sandbox":
        raise node.at.error("RUN --security=insecure is not allowed here")
    for mount in flags.many("mount"):
        _refuse_mount(node, mount)
    args, script = _command(node)
    return Run(
        at=node.at,
        text=node.text,
        args=args,
        shell=not node.json and script is None,
        script=script,
        network=network != "none",
    )


def _command(node: Node) -> tuple[tuple[str, ...], Document | None]:
    """What is run, and the document that is run by itself, if it is one."""
    if not node.heredocs:
        return node.words, None
    line = node.words[0]
    match = HEREDOC.fullmatch(line.strip())
    if match is None:  # the shell reads the documents itself
        tails = (f"\n{document.content}{document.name}" for document in node.heredocs)
        return (line + "".join(tails),), None
    content = node.heredocs[0].content
    if match[2]:
        content = re.sub(r"^\t+", "", content, flags=re.MULTILINE)
    if content.startswith("#!"):
        return (), Document(node.heredocs[0].name, content, expand=False)
    return (content,), None


def _refuse_mount(node: Node, mount: str) -> None:
    fields = dict(field.partition("=")[::2] for field in mount.split(","))
    kind = fields.get("type", "bind")
    if kind not in ("bind", "cache", "tmpfs", "secret", "ssh"):
        raise node.at.error(f'unsupported mount type "{kind}"')
    raise node.at.error(
        f"RUN --mount=type={kind} is not supported here",
        resolution=_INSTEAD.get(kind, "Leave the flag out."),
    )
