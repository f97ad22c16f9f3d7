"""Several changes of links, addresses and routes in one message to the kernel.

`paas.host.netlink` asks one thing at a time, at half a millisecond each; to wire a container
takes eleven. Here they are written as the kernel reads them, sent together and answered
together. Sources: netlink(7), rtnetlink(7), veth(4), linux/if_link.h.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, IPv6Network

NEWLINK, DELLINK, NEWADDR, NEWROUTE, DELROUTE = 16, 17, 20, 24, 25
REQUEST, ACK, REPLACE, EXCLUSIVE, CREATE = 1, 4, 0x100, 0x200, 0x400
ERROR = 2
IFF_UP = 1

_HEADER, _LINK = struct.Struct("=IHHII"), struct.Struct("=BxHiII")
_ADDRESS, _ROUTE = struct.Struct("=BBBBI"), struct.Struct("=BBBBBBBBI")
_IFNAME, _MTU, _LINKINFO, _NET_NS_FD = 3, 4, 18, 28
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_RTA_PRIORITY = 6
_STATIC, _UNICAST, _UNREACHABLE, _MAIN_TABLE = 4, 1, 7, 254
_NODAD = 2
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_SCOPE_UNIVERSE, _SCOPE_LINK, _ONLINK = 0, 253, 4

Message = tuple[int, int, bytes]
"""Type, flags and body."""


def veth(
    name: str, index: int, peer: str, peer_index: int, namespace: int, mtu: int | None
) -> Message:
    """Make a veth pair, up at this end, its peer in the namespace of a descriptor."""
    size = _attribute(_MTU, struct.pack("=I", mtu)) if mtu is not None else b""
    other = (
        _LINK.pack(0, 0, peer_index, 0, 0)
        + _attribute(_IFNAME, peer.encode() + b"\0")
        + _attribute(_NET_NS_FD, struct.pack("=I", namespace))
        + size
    )
    info = _attribute(_INFO_KIND, b"veth") + _attribute(_INFO_DATA, _attribute(_VETH_PEER, other))
    body = _LINK.pack(0, 0, index, IFF_UP, IFF_UP) + _attribute(_IFNAME, name.encode() + b"\0")
    return NEWLINK, CREATE | EXCLUSIVE, body + size + _attribute(_LINKINFO, info)


def up(index: int) -> Message:
    """Set a link up."""
    return NEWLINK, 0, _LINK.pack(0, 0, index, IFF_UP, IFF_UP)


def down(index: int) -> Message:
    """Set a link down."""
    return NEWLINK, 0, _LINK.pack(0, 0, index, 0, IFF_UP)


def delete(name: str) -> Message:
    """Delete a link, and with it a veth's other end."""
    return DELLINK, 0, _LINK.pack(0, 0, 0, 0, 0) + _attribute(_IFNAME, name.encode() + b"\0")


def address(index: int, interface: IPv4Interface | IPv6Interface) -> Message:
    """Give a link an address; one that it has already is fine.

    One of IPv6 counts at once: nobody else on a link of two is asked whether it has it.
    """
    family, flags = FAMILIES[interface.version], _NODAD if interface.version == 6 else 0
    body = _ADDRESS.pack(family, interface.network.prefixlen, flags, _SCOPE_UNIVERSE, index)
    packed = interface.ip.packed
    body += _attribute(_IFA_LOCAL, packed) + _attribute(_IFA_ADDRESS, packed)
    return NEWADDR, CREATE | REPLACE, body


def route_to(target: IPv4Address | IPv6Address, index: int) -> Message:
    """One address is reached on a link."""
    family, length = FAMILIES[target.version], target.max_prefixlen
    body = _ROUTE.pack(family, length, 0, 0, _MAIN_TABLE, _STATIC, _SCOPE_LINK, _UNICAST, 0)
    body += _attribute(_RTA_DST, target.packed) + _attribute(_RTA_OIF, struct.pack("=I", index))
    return NEWROUTE, CREATE | REPLACE, body


def default_route(gateway: IPv4Address | IPv6Address, index: int) -> Message:
    """Everything else is reached through a gateway that is on a link, whatever its address."""
    family = FAMILIES[gateway.version]
    body = _ROUTE.pack(family, 0, 0, 0, _MAIN_TABLE, _STATIC, _SCOPE_UNIVERSE, _UNICAST, _ONLINK)
    oif = _attribute(_RTA_OIF, struct.pack("=I", index))
    return NEWROUTE, CREATE | REPLACE, body + _attribute(_RTA_GATEWAY, gateway.packed) + oif


def route_by(target: IPv6Network, gateway: IPv6Address, index: int) -> Message:
    """A network is reached through a gateway on a link."""
    kind, flags, body = default_route(gateway, index)
    changed = bytearray(body)
    changed[1] = target.prefixlen
    return kind, flags, bytes(changed) + _attribute(_RTA_DST, target.network_address.packed)


def unreachable(target: IPv6Network, metric: int) -> Message:
    """A network is nowhere, unless another route says where."""
    body = _ROUTE.pack(
        socket.AF_INET6, target.prefixlen, 0, 0, _MAIN_TABLE, _STATIC, _SCOPE_UNIVERSE,
        _UNREACHABLE, 0,
    )  # fmt: skip
    body += _attribute(_RTA_DST, target.network_address.packed)
    return NEWROUTE, CREATE | REPLACE, body + _attribute(_RTA_PRIORITY, struct.pack("=I", metric))


def without(message: Message) -> Message:
    """The deletion of a route that `message` makes."""
    _, _, body = message
    return DELROUTE, 0, body


def apply(messages: Sequence[Message], what: str, fine: Collection[int] = ()) -> None:
    """Do all of it in this thread's network namespace, in their order.

    One that fails keeps the kernel from none of those behind it. Raises the first's
    `OSError`, saying `what` was attempted; those whose errno is `fine` did not fail.
    """
    data = b""
    for number, (kind, flags, body) in enumerate(messages, 1):
        size = _HEADER.size + len(body)
        data += _HEADER.pack(size, kind, REQUEST | ACK | flags, number, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.bind((0, 0))
        kernel.send(data)
        errors: dict[int, int] = {}
        while len(errors) < len(messages):
            errors.update(_answers(kernel.recv(1 << 16)))
    failed = next(
        (errors[number] for number in sorted(errors) if errors[number] not in (0, *fine)), 0
    )
    if failed:
        raise OSError(failed, f"cannot {what}: {os.strerror(failed)}")


def _answers(data: bytes) -> dict[int, int]:
    """Number and errno of each message that the kernel answers."""
    found: dict[int, int] = {}
    while len(data) >= _HEADER.size:
        size, kind, _, number, _ = _HEADER.unpack_from(data)
        if kind == ERROR:
            found[number] = -struct.unpack_from("=i", data, _HEADER.size)[0]
        data = data[(size + 3) & ~3 :]
    return found


def _attribute(kind: int, data: bytes) -> bytes:
    """Length, type and value, filled up to four bytes."""
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)
