"""Which addresses of the network a stranger's URL may lead to: those that the whole internet can reach.

The lists are IANA's special-purpose registries: https://www.iana.org/assignments/iana-ipv4-special-registry and
iana-ipv6-special-registry, as of 2025. The standard library knows most of them; how many depends on its version.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_NOT_PUBLIC_V4 = tuple(
    IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
)
_PUBLIC_V6 = IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(
    IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "2620:4f:8000::/48", "3fff::/20")
)
_NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an address, as the resolver gives it, is one of the internet's: not this machine's, not of a private
    network, not reserved, no group's. An IPv6 address that stands for an IPv4 one is judged as that one.
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        if (inside := _inside(found)) is None:
            return found in _PUBLIC_V6 and found.is_global and not any(found in network for network in _NOT_PUBLIC_V6)
        found = inside
    return found.is_global and not any(found in network for network in _NOT_PUBLIC_V4)


def _inside(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a mapped, 6to4 or NAT64 address leads to."""
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None


_METADATA = frozenset(map(ip_address, ("fd00:ec2::254", "100.100.100.200", "168.63.129.16")))
"""Where clouds tell their machines secrets, beside the link-local address that most of them use."""


def is_metadata(address: str) -> bool:
    """Whether nothing that a user names may lead to an address, however far that user is trusted: one of this link
    alone, where clouds tell their machines secrets, of a group, or of nobody."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return True
    if isinstance(found, IPv6Address):
        found = _inside(found) or found
    return found in _METADATA or found.is_link_local or found.is_multicast or found.is_unspecified
