"""Addresses of computers."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_loopback(address: str) -> bool:
    """Whether only this computer reaches an address.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("example.org")
        (True, True, False)
    """
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def names_a_host(url: str) -> bool:
    """Whether a URL has a host and, if any, a port that can be.

    Example:
        >>> names_a_host("http://pacs:8042/dicom-web"), names_a_host("http:///dicom-web"), names_a_host("http://a:99999")
        (True, False, False)
    """
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
