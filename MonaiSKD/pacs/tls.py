"""TLS contexts from the files that the configuration names."""

from __future__ import annotations

import ssl

from MonaiSKD.errors import SKDError
from MonaiSKD.pacs.settings import Tls


def server_context(tls: Tls | None) -> ssl.SSLContext | None:
    """For a server; with `ca` it demands a certificate of its clients. None where TLS is not wished for."""
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, tls)
    if tls.ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(tls: Tls) -> ssl.SSLContext:
    """For a client; the server's name must be that of its certificate."""
    context = ssl.create_default_context(cafile=str(tls.ca) if tls.ca else None)
    _load(context, tls)
    return context


def _load(context: ssl.SSLContext, tls: Tls) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if tls.certificate is not None:
            # Never ask for the password of a key on the terminal: a service has none.
            context.load_cert_chain(tls.certificate, tls.key, password=lambda: b"")
        if tls.ca is not None:
            context.load_verify_locations(tls.ca)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
        thing = tls.certificate or tls.ca
        raise SKDError(
            thing, f"cannot be used for TLS ({reason})", "Give PEM files, the key without password"
        ) from error
