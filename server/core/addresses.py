"""Who sent a request: the client's address, also behind proxies that are trusted."""

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
"""A customer of a provider has at least this network, so one address of it tells nobody apart."""


def client_address(request: web.Request) -> str:
    """The address of the client; empty for a Unix socket.

    Only a trusted proxy's headers count. Each proxy appends the address it was called from, so the
    right-most one that is not itself a trusted proxy is the client; what stands left of it may be
    made up.
    """
    known = request.get(_CLIENT)
    if known is None:
        known = request[_CLIENT] = _find(request)
    return known


def _find(request: web.Request) -> str:
    remote = request.remote or ""
    trusted = service(request, Settings).trusted_proxies
    if not trusted or not is_trusted(remote, trusted):
        return remote
    found = {
        _client(split(",".join(request.headers.getall(name))), trusted)
        for name, split in (("X-Forwarded-For", _plain), ("Forwarded", _forwarded))
        if name in request.headers
    }
    # A proxy writes one of the two headers and passes the other on as the client wrote it: where
    # they disagree there is no telling which is whose.
    client = found.pop() if len(found) == 1 else None
    return remote if client is None else str(client)


def address_key(request: web.Request) -> str:
    """What limits count an address by: an IPv4 address, or an IPv6 network of 64 bits."""
    return network_key(client_address(request))


@lru_cache(maxsize=4096)
def network_key(address: str) -> str:
    """An IPv4 address as it is, an IPv6 address as its network of 64 bits."""
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((int(parsed), _IPV6_PREFIX), strict=False))
    return str(parsed or address)


@lru_cache(maxsize=4096)
def is_trusted(remote: str, trusted: Networks) -> bool:
    """Whether a connection from there is a trusted proxy's; the peer of a Unix socket, which has
    no address, is one wherever there are trusted proxies."""
    if not remote:
        return bool(trusted)
    address = parse_address(remote)
    return address is not None and _within(address, trusted)


def parse_address(text: str) -> Address | None:
    """An address, with or without a port or brackets; None where it is none."""
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
    """The client among the hops, nearest first; None where no hop can be read.

    A hop that cannot be read hides whoever is behind it: the proxy that told of it stands for it.
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

    Read from the right, as each proxy has added to the right: a quote that a client has left open
    would swallow the next hop from the left.
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
