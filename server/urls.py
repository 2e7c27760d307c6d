"""What host names and URLs in settings mean."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

REDIS_URL_FORM = (
    "is not redis://user:password@host:port/database, or unix://user:password@/path?db=database."
    " In a user name or password write / as %2F, # as %23, ? as %3F, @ as %40, % as %25, a blank"
    " as %20"
)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that address or name."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host.lower() == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def url_of(host: str, port: int) -> str:
    """The URL of that host and port, an IPv6 address in brackets (RFC 3986, RFC 6874)."""
    if ":" in host:
        host = f"[{host.replace('%', '%25')}]"
    return f"http://{host}:{port}"


def is_redis_url(text: str) -> bool:
    """Whether the URL is unambiguous.

    An unescaped `/`, `?` or `#` in a password would end the host part, and the password would be
    taken for a host name, which is logged.
    """
    if any(not one.isprintable() or one.isspace() or one == "#" for one in text):
        return False
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    credentials, at, _ = parts.netloc.rpartition("@")
    if parts.scheme == "unix":
        return len(parts.path) > 1 and parts.netloc == credentials + at
    rest = parts.path + parts.query
    return "@" not in rest and port != 0 and re.fullmatch(r"/?|/\d{1,4}/?", parts.path) is not None
