"""What instances may do by IPv6, as nft(8) text: open connections to the internet.

Everything else is refused: between instances, to the host, its LAN and private networks,
and from anywhere to instances.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Network, collapse_addresses

from paas.engine.network.ipv6 import Plan6
from paas.engine.network.policy import HOST_LINK, TABLE, host_table_name

INTERNET = IPv6Network("2000::/3")
"""All that IANA has given out for the internet."""

NOT_INTERNET = (
    # Tunnels, whose addresses carry an IPv4 one that may be private (RFC 4380, RFC 3056).
    IPv6Network("2001::/32"),
    IPv6Network("2002::/16"),
)


def router_table6(plan: Plan6 | None, local: Iterable[IPv6Network]) -> str:
    """The router's table of IPv6, or its end without a plan: one transaction."""
    fresh = f"add table ip6 {TABLE}\ndelete table ip6 {TABLE}\n"
    if plan is None:
        return fresh
    denied = (*NOT_INTERNET, *(one for one in local if one.subnet_of(INTERNET)))
    return fresh + _ROUTER.format(
        table=TABLE,
        host=HOST_LINK,
        host_address=plan.host.ip,
        prefix=plan.prefix,
        internet=INTERNET,
        denied=", ".join(map(str, collapse_addresses(denied))),
    )


def host_table6(instance: str, interface: str, plan: Plan6 | None) -> str:
    """The host's table of IPv6, or its end: egress translated, and what comes in by our link
    kept out. It accepts nothing that other software refuses."""
    name = host_table_name(instance)
    fresh = f"add table ip6 {name}\ndelete table ip6 {name}\n"
    if plan is None:
        return fresh
    return fresh + _HOST.format(table=name, interface=interface, prefix=plan.prefix)


# Only neighbours' discovery (RFC 4861) goes from link to link.
_ROUTER = """\
table ip6 {table} {{
  set denied {{ type ipv6_addr; flags interval; elements = {{ {denied} }} }}
  chain refused {{
    meta l4proto tcp counter reject with tcp reset
    counter reject with icmpv6 type admin-prohibited
  }}
  chain genuine {{
    type filter hook prerouting priority raw; policy accept;
    iifname "lo" accept
    icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} ip6 hoplimit 255 accept
    iifname "{host}" ip6 saddr {prefix} ip6 saddr != {host_address} counter drop
    iifname != "{host}" ip6 saddr fe80::/10 counter drop
    iifname != "{host}" fib saddr . iif oif missing counter drop
  }}
  chain forward {{
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    ct state invalid counter drop
    iifname "{host}" counter drop
    ip6 daddr != {internet} jump refused
    ip6 daddr @denied jump refused
    oifname "{host}" accept
    jump refused
  }}
  chain input {{
    type filter hook input priority filter; policy drop;
    ct state established,related accept
    iifname "lo" accept
    icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
    icmpv6 type echo-request limit rate 50/second accept
    jump refused
  }}
  chain output {{
    type filter hook output priority filter; policy drop;
    ct state established,related accept
    oifname "lo" accept
    icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
    icmpv6 type {{ destination-unreachable, packet-too-big, time-exceeded }} accept
    tcp flags rst accept
  }}
}}
"""

_HOST = """\
table ip6 {table} {{
  chain translate {{
    type nat hook postrouting priority srcnat; policy accept;
    iifname "{interface}" ip6 saddr {prefix} masquerade
  }}
  chain guard {{
    type filter hook input priority filter - 10; policy accept;
    iifname "{interface}" ct state established,related accept
    iifname "{interface}" icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
    iifname "{interface}" counter drop
  }}
  chain private {{
    type filter hook forward priority filter - 10; policy accept;
    oifname "{interface}" ct state new counter drop
  }}
}}
"""
