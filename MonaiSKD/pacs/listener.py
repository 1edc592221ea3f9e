"""Intake by C-STORE: a storage SCP that says success only when an object is safe on the disk."""

from __future__ import annotations

import logging
import threading

from pynetdicom import evt

from MonaiSKD.errors import SKDError
from MonaiSKD.pacs.clock import Rate
from MonaiSKD.pacs.guard import GuardedEntity, GuardedServer
from MonaiSKD.pacs.incoming import Incoming
from MonaiSKD.pacs.log import log
from MonaiSKD.pacs.settings import Limits, Listen
from MonaiSKD.pacs.tls import server_context
from MonaiSKD.pacs.trouble import Later, not_listening
from MonaiSKD.reading.dicom.guards import SYNTAXES

SUCCESS, OUT_OF_RESOURCES, MISMATCH, NOT_UNDERSTOOD = 0x0000, 0xA700, 0xA900, 0xC000

# CR, DX, secondary capture, CT, MR, and their enhanced forms: what the models are made for, or may be taken for.
_IMAGES = [
    f"1.2.840.10008.5.1.4.1.1.{number}"
    for number in ("1", "1.1", "1.1.1", "2", "2.1", "2.2", "4", "4.1", "4.4", "7", "7.2", "7.3")
]
_VERIFICATION = "1.2.840.10008.1.1"


class Listener:
    """The running storage SCP.

    Args:
        settings: where it listens, and to whom.
        limits: sizes.
        incoming: where objects go.
        rate: of objects.
        stop: ends waiting for the rate.

    Raises:
        SKDError: the address cannot be listened on, or the files of TLS are wrong.
    """

    def __init__(self, settings: Listen, limits: Limits, incoming: Incoming, rate: Rate, stop: threading.Event) -> None:
        self._incoming, self._rate, self._stop = incoming, rate, stop
        ae = GuardedEntity(settings.ae_title)
        ae.require_called_aet = True
        ae.require_calling_aet = list(settings.allow)
        ae.maximum_associations = settings.associations
        ae.network_timeout = ae.acse_timeout = ae.dimse_timeout = settings.timeout
        for sop_class in _IMAGES:
            ae.add_supported_context(sop_class, list(SYNTAXES))
        ae.add_supported_context(_VERIFICATION)
        handlers: list[evt.EventHandlerType] = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_REJECTED, _rejected),
            (evt.EVT_ABORTED, _aborted),
        ]
        try:
            self._server = ae.make_server(
                (settings.address, settings.port),
                ssl_context=server_context(settings.tls),
                evt_handlers=handlers,
                server_class=GuardedServer,
                seconds=settings.timeout,
                object_bytes=limits.object_bytes,
                connections=4 * settings.associations,
            )
        except OSError as error:
            raise not_listening(settings.address, settings.port, "listen", error) from error
        ae._servers.append(self._server)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="listener", args=(0.1,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; associations under way are aborted, and their senders send again."""
        self._server.shutdown()
        for association in self._server.active_associations:
            if association.is_established:
                association.abort()
        self._thread.join(5)

    def _store(self, event: evt.Event) -> int:
        self._rate.wait(self._stop)
        try:
            announced = str(getattr(event.request, "AffectedSOPInstanceUID", ""))
            self._incoming.keep(event.encoded_dataset(), announced)
        except Later as problem:
            log("object refused", logging.WARNING, status="A700", reason=problem.cause)
            return OUT_OF_RESOURCES
        except SKDError as error:
            status = MISMATCH if "SOP class" in error.cause else NOT_UNDERSTOOD
            log("object refused", logging.WARNING, status=f"{status:04X}", reason=error.cause)
            return status
        except Exception as error:  # pynetdicom would log it with what it quotes
            log("object refused", logging.ERROR, status="C000", reason=f"internal error ({type(error).__name__})")
            return NOT_UNDERSTOOD
        return SUCCESS


def _rejected(event: evt.Event) -> None:
    # A title is what somebody sent: shown as it is by a list of its own characters.
    calling = "".join(char for char in event.assoc.requestor.ae_title if char.isalnum() or char in "_-. ")[:16]
    log("association rejected", logging.WARNING, calling=calling)


def _aborted(event: evt.Event) -> None:
    log("association aborted", logging.WARNING)
