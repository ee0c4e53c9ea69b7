"""Where messages may go: exact origins, addresses within them, and the networks behind their names.

Keeps: an origin has one spelling, so that what is allowed can be compared by bytes; whatever a name leads to is judged
by the address that is connected to, and where one of several is refused all are. Without TLS nothing leaves this
machine.
Leaves to the adapter: resolving names, and connecting to what was judged.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final, NamedTuple

from domain.errors import Rejected

MOST_URL_CHARACTERS: Final = 1_024
_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_PATH: Final = re.compile(r"/[!-\[\]-~]*")
_URL: Final = re.compile(
    r"(?i:(https?)://)(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9.-]{1,253}))(?::([0-9]{1,5}))?((?:[/?][^#]*)?)"
)
_LAST_PORT: Final = 65_535
_PORTS: Final = {"https": 443, "http": 80}
_LOCAL_NAME: Final = "localhost"
# Networks that carry another address inside theirs: what is behind it is somebody else's word.
_WRAPPED: Final = tuple(
    ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "::/96")
)

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Place(NamedTuple):
    """An address on the web. ``origin``: scheme, host and port in their one spelling; ``path``: with its query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        """``https://host:port``; the port is always told."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def origin_of(text: str, *, is_private: bool) -> str:
    """An origin to allow. Raises Rejected ``target_malformed``."""
    place = place_of(text)
    if place.path != "/" or text.rstrip("/").count("/") != 2:
        raise _malformed("an origin has no path", "give scheme, host and port alone, such as https://hooks.example:443")
    if place.scheme == "http" and not (is_private and _is_this_machine(place.host)):
        raise _malformed(
            "without TLS messages go to this machine alone", "give an https origin; for a try: --private and 127.0.0.1"
        )
    return place.origin


def place_of(url: str) -> Place:
    """A URL taken apart. Raises Rejected ``target_malformed``."""
    if not url.isascii() or not url.isprintable() or " " in url or len(url) > MOST_URL_CHARACTERS:
        raise _malformed(
            "it is no URL of at most 1024 ASCII characters without spaces", "write it as a browser sends it"
        )
    found = _URL.fullmatch(url)
    if found is None:
        raise _malformed("it is not https, or has a user, a fragment or an odd port", "give https://host:port/path")
    scheme, bracketed, name, port, rest = found.groups()
    path = rest if rest.startswith("/") else f"/{rest}"
    if not _PATH.fullmatch(path):
        raise _malformed("its path holds characters that a path does not have", "write them as %XX")
    number = int(port or _PORTS[scheme.lower()])
    if not 0 < number <= _LAST_PORT:
        raise _malformed("there is no such port", "give a port of 1 to 65535")
    return Place(scheme.lower(), _host((bracketed or name).lower(), is_bracketed=bool(bracketed)), number, path)


def refuses_address(address: str, *, is_private: bool, is_plain: bool = False) -> bool:
    """Whether nothing is sent to a network address, as a resolver gave it.

    ``is_private``: the allow-list says that this target is within the house; ``is_plain``: without TLS.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return True
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        elif found != ipaddress.IPv6Address(1) and any(found in network for network in _WRAPPED):
            return True
    if is_plain and not found.is_loopback:
        return True
    # Those of the second line are nobody's house: a cloud's metadata, everybody at once, nobody at all.
    return (not is_private and not found.is_global) or (
        found.is_link_local or found.is_multicast or found.is_unspecified or str(found) == "255.255.255.255"
    )


def _host(host: str, *, is_bracketed: bool) -> str:
    """A host in its one spelling: a name in lower case, or an address as it is written."""
    try:
        found = ipaddress.ip_address(host)
        if is_bracketed == (found.version == 6):
            return str(found)
    except ValueError:
        pass
    # What looks like a number is one to some resolvers: 127.1, 2130706433, 0x7f.1.
    if not _NAME.fullmatch(host) or re.fullmatch(r"[0-9]+|0x[0-9a-f]*", host.rpartition(".")[2]):
        raise _malformed(f"{host!r} is no host name", "give a name in ASCII (xn-- for others), or an address")
    return host


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == _LOCAL_NAME


def _malformed(message: str, remedy: str) -> Rejected:
    return Rejected("target_malformed", message, field="url", remedy=remedy)
