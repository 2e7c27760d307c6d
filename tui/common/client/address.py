"""The address of a server as somebody typed it, and the proxy that leads there."""

import ipaddress
from urllib.parse import urlsplit


def clean_address(typed: str) -> str:
    """A base URL that may be shown and kept: with a scheme, and without a user and password.

    Those are left out wherever they could be meant: a password may have slashes in it.
    """
    scheme, _, rest = typed.strip().rpartition("://")
    return f"{scheme or 'http'}://{rest.rpartition('@')[2].rstrip('/')}"


def names_a_user(typed: str) -> bool:
    """Whether the address has a user in it, or a password."""
    return "@" in typed


def proxy_for(base_url: str) -> str | None:
    """The proxy that `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` name for that server, as other
    tools read them; None where it is asked directly. This machine itself always is."""
    from urllib.request import getproxies, proxy_bypass

    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # no address; the request finds words for that
        return None
    if _is_loopback(host) or proxy_bypass(host if port is None else f"{host}:{port}"):
        return None
    proxy = getproxies().get(parts.scheme, "").strip()
    if not proxy:
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
