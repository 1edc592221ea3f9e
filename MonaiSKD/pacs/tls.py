"""TLS contexts from the files that the configuration names."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from MonaiSKD.errors import SKDError
from MonaiSKD.pacs.settings import Tls


def server_context(tls: Tls | None) -> ssl.SSLContext | None:
    """For a server; with `ca` it demands a certificate of its clients. None where TLS is not wished for."""
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if tls.ca is not None:
        with _usable(tls.ca):
            context.load_verify_locations(tls.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return _with_own(context, tls)


def client_context(tls: Tls) -> ssl.SSLContext:
    """For a client; the server's name must be that of its certificate."""
    with _usable(tls.ca):
        context = ssl.create_default_context(cafile=str(tls.ca) if tls.ca else None)
    return _with_own(context, tls)


def _with_own(context: ssl.SSLContext, tls: Tls) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.certificate is not None:
        with _usable(tls.certificate):
            # Never ask for the password of a key on the terminal: a service has none.
            context.load_cert_chain(tls.certificate, tls.key, password=lambda: b"")
    return context


@contextmanager
def _usable(file: Path | None) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
        cause = f"cannot be used for TLS ({reason})"
        raise SKDError(file, cause, "Give PEM files, the key without password") from error
