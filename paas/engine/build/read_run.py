"""Reading RUN: its forms, documents and flags."""

from __future__ import annotations

import re

from paas.engine.build.flags import Flags
from paas.engine.build.instructions import Document, Run
from paas.engine.build.parse import Node
from paas.engine.build.read_copy import HEREDOC
from paas.engine.build.read_mount import read_mount

_FLAGS = {"mount": "list", "network": "text", "security": "text", "device": "list"}


def read_run(node: Node) -> Run:
    """RUN. Raises `DockerfileError`, for a network or device this engine does not have."""
    flags = Flags(node, _FLAGS)
    if not any(node.words):
        raise node.at.error("RUN requires at least one argument")
    network = flags.text("network") or "default"
    if network not in ("default", "none", "host"):
        raise node.at.error(f'invalid network mode "{network}"', resolution="Use default or none.")
    if network == "host":
        raise node.at.error(
            "RUN --network=host is not allowed: a build must not reach what the server does",
            resolution="Use default or none.",
        )
    if (flags.text("security") or "sandbox") != "sandbox":
        raise node.at.error("RUN --security=insecure is not allowed here")
    if flags.many("device"):
        raise node.at.error("RUN --device is not allowed: builds have no devices")
    args, script = _command(node)
    return Run(
        at=node.at,
        text=node.text,
        args=args,
        shell=not node.json and script is None,
        script=script,
        network=network != "none",
        mounts=tuple(read_mount(node.at, text) for text in flags.many("mount")),
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
