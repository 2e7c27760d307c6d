"""The address of a request's client, also behind trusted proxies."""

import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from aiohttp import web

from server.core.services import service
from server.settings import Networks, Settings

Address = IPv4Address | IPv6Address

_CLIENT = web.RequestKey("client_address", str)
_FOR = re.compile(r'(?:^|;)\s*for="?([^";]*)', re.IGNORECASE)
_IPV6_PREFIX = 64
"""An IPv6 customer has at least a network of this prefix, so limits count by network."""


def client_address(request: web.Request) -> str:
    """The address of the client; empty for a Unix socket.

    Only headers from a trusted proxy count. Each proxy appends the address that called it, so the
    right-most one that is not a trusted proxy is the client; those to its left may be forged.
    """
    remote = request.remote or ""
    trusted = service(request, Settings).trusted_proxies
    if not trusted or not is_trusted(remote, trusted):
        return remote
    known = request.get(_CLIENT)
    if known is None:
        known = request[_CLIENT] = _behind(request, remote, trusted)
    return known


def _behind(request: web.Request, remote: str, trusted: Networks) -> str:
    found = {
        _client(split(",".join(request.headers.getall(name))), trusted)
        for name, split in (("X-Forwarded-For", _plain), ("Forwarded", _forwarded))
        if name in request.headers
    }
    # A proxy writes one of the two headers and forwards the other as the client sent it. Where they
    # disagree, it is unknown which one the proxy wrote.
    client = found.pop() if len(found) == 1 else None
    return remote if client is None else str(client)


def address_key(request: web.Request) -> str:
    """The key by which limits count an address: IPv4 as it is, IPv6 as its /64 network."""
    return network_key(client_address(request))


@lru_cache(maxsize=4096)
def network_key(address: str) -> str:
    """An IPv4 address as it is, an IPv6 address as its /64 network."""
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((int(parsed), _IPV6_PREFIX), strict=False))
    return str(parsed or address)


@lru_cache(maxsize=4096)
def is_trusted(remote: str, trusted: Networks) -> bool:
    """Whether a connection from `remote` is a trusted proxy's. The peer of a Unix socket, which has
    no address, is one if there are any trusted proxies."""
    if not remote:
        return bool(trusted)
    address = parse_address(remote)
    return address is not None and _within(address, trusted)


def parse_address(text: str) -> Address | None:
    """The address in a text, with or without port and brackets; None where there is none."""
    text = text.strip()
    if text.startswith("["):
        text, _, port = text[1:].partition("]")
        if port and not port.startswith(":"):
            return None
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))  # without a scope
    return address


def _within(address: Address, networks: Networks) -> bool:
    return any(address in network for network in networks)


def _client(hops: Iterator[str], trusted: Networks) -> Address | None:
    """The client among the hops, nearest first; None where no hop is readable.

    What is behind an unreadable hop is unknown, so the proxy that reported it counts as the client.
    """
    nearest = None
    for hop in hops:
        address = parse_address(hop)
        if address is None:
            break
        nearest = address
        if not _within(address, trusted):
            break
    return nearest


def _plain(value: str) -> Iterator[str]:
    """The hops of X-Forwarded-For, nearest first."""
    return reversed(value.split(","))


def _forwarded(value: str) -> Iterator[str]:
    """The `for` of each hop of RFC 7239, nearest first; empty where a hop has none.

    Read from the right, where each proxy appends: read from the left, a quote that a client left
    open would swallow the next hop.
    """
    end, quoted = len(value), False
    for at in range(len(value) - 1, -1, -1):
        if value[at] == '"':
            quoted = not quoted
        elif value[at] == "," and not quoted:
            yield _for(value[at + 1 : end])
            end = at
    yield "" if quoted else _for(value[:end])


def _for(hop: str) -> str:
    found = _FOR.search(hop)
    return found[1] if found else ""
