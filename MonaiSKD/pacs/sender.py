"""How answers go back, and whether they have arrived."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from MonaiSKD.errors import SKDError
from MonaiSKD.pacs.dicomweb import Client
from MonaiSKD.pacs.settings import Peer
from MonaiSKD.pacs.tls import client_context
from MonaiSKD.pacs.trouble import DUPLICATE, Later, not_stored


class Sender(Protocol):
    """Takes finished DICOM objects to the PACS."""

    def send(self, files: Sequence[Path]) -> None:
        """Send objects in their order, the report last; those that the PACS has already count as sent.

        Raises:
            Later: the PACS does not take them now.
            SKDError: it refuses them.
        """


class StowSender:
    """By STOW-RS."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def send(self, files: Sequence[Path]) -> None:
        """Send objects, see :class:`Sender`."""
        *others, report = files
        if others:  # a request may be carried out in part
            self._client.store(others)
        self._client.store([report])


class StoreSender:
    """By C-STORE.

    Raises:
        SKDError: the files of TLS are wrong.
    """

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._context = client_context(peer.tls) if peer.tls is not None else None

    def send(self, files: Sequence[Path]) -> None:
        """Send objects, see :class:`Sender`."""
        import pydicom
        from pynetdicom import AE

        peer = self._peer
        ae = AE(peer.calling)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = peer.timeout
        metas = [pydicom.dcmread(file, specific_tags=[], stop_before_pixels=True).file_meta for file in files]
        for kind in dict.fromkeys((str(one.MediaStorageSOPClassUID), str(one.TransferSyntaxUID)) for one in metas):
            ae.add_requested_context(*kind)
        tls = (self._context, peer.host) if self._context is not None else None
        try:
            association = ae.associate(peer.host, peer.port, ae_title=peer.ae_title, tls_args=tls)
        except OSError as error:  # such as a host that nobody knows
            raise Later(f"the PACS cannot be reached by DICOM ({error.strerror})", "Check host in [answer]") from error
        if association.is_rejected:
            raise Later("the PACS rejects the association", "Check that it knows our AE title; ae_title in [answer]")
        if not association.is_established and association.rejected_contexts:  # then pynetdicom aborts it itself
            raise _takes_none()
        if not association.is_established:
            remedy = f"Check that it runs; host, port{', tls, ca and certificate' if tls else ''} in [answer]"
            raise Later("the PACS cannot be reached by DICOM", remedy)
        try:
            for file in files:
                status = association.send_c_store(file)
                _check(int(status.Status) if "Status" in status else None)
        except (ValueError, RuntimeError) as error:  # no accepted context; the association was lost
            if association.is_established:
                raise _takes_none() from error
            raise Later("the PACS breaks the association", "Look into its log") from error
        finally:
            if association.is_established:
                association.release()


def _takes_none() -> SKDError:
    remedy = "Let the PACS accept Comprehensive SR Storage and what heat_maps asks for"
    return SKDError("the report", "the PACS takes no such objects", remedy, "unsupported")


def _check(status: int | None) -> None:
    """What a C-STORE response means (PS3.4 B.2.3)."""
    if status is None:
        raise Later("the PACS does not answer a C-STORE", "Look into its log")
    if status not in (0x0000, DUPLICATE) and status & 0xF000 != 0xB000:
        raise not_stored(status)
