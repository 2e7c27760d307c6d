"""A server's address as it was typed, and the proxy and certificates the environment names."""

import ipaddress
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from ssl import SSLContext

DEFAULT_SERVER = "http://127.0.0.1:8080"


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
    """The proxy that the environment names for that server, as curl reads it; None for none.

    `https_proxy` or `HTTPS_PROXY` for https, `http_proxy` alone for http: a web server that runs a
    program puts what a client sends as `Proxy:` into the upper-case one. The server on this machine
    is always asked directly.
    """
    try:
        parts = urlsplit(base_url)
        host = parts.hostname or ""
    except ValueError:  # no address; the request finds words for that
        return None
    names = ("http_proxy",) if parts.scheme == "http" else ("https_proxy", "HTTPS_PROXY")
    proxy = _first_set(*names)
    if not proxy or _is_loopback(host) or _is_excepted(host, _first_set("no_proxy", "NO_PROXY")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _first_set(*names: str) -> str:
    """The first of these variables that is not empty."""
    return next((value for name in names if (value := os.environ.get(name, "").strip())), "")


def _is_excepted(host: str, no_proxy: str) -> bool:
    """Whether `no_proxy` names the host: domains with all below them, addresses, networks, `*`."""
    if no_proxy == "*":
        return True
    host = host.rstrip(".").lower()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    for entry in no_proxy.lower().replace(",", " ").split():
        if address is None:
            domain = entry.strip(".")
            if domain and (host == domain or host.endswith(f".{domain}")):
                return True
            continue
        try:
            if address in ipaddress.ip_network(entry.strip("[]"), strict=False):
                return True
        except ValueError:  # a domain
            continue
    return False


def tls_context() -> "SSLContext":
    """Trusts what `SSL_CERT_FILE` and `SSL_CERT_DIR` name instead of the system's authorities.

    Raises OSError where they cannot be read. Takes some milliseconds, and reads files.
    """
    import ssl

    context = ssl.create_default_context(
        cafile=os.environ.get("SSL_CERT_FILE") or None,
        capath=os.environ.get("SSL_CERT_DIR") or None,
    )
    context.set_alpn_protocols(["http/1.1"])
    return context


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
