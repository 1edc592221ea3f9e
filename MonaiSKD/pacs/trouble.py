"""The two ways in which a study is not answered: later (:class:`Later`), or never (:class:`SKDError`)."""

from __future__ import annotations

import errno

from MonaiSKD.errors import SKDError

DUPLICATE = 0x0111  # the PACS has that object already, which is success
_PROCESSING_FAILURE, _SYNTAX_NOT_SUPPORTED = 0x0110, 0xC122
FULL = (errno.ENOSPC, errno.EDQUOT)
_PORT = (errno.EADDRINUSE, errno.EACCES)


class Later(Exception):
    """The study can be answered, but not now; it is tried again.

    Args:
        cause: what is wrong, without a full stop and without anything that identifies a patient.
        remedy: what to do about it where it does not pass by itself.
        counts: whether it may be the study's own fault, so that attempts are not endless. A PACS that is down is not.
    """

    def __init__(self, cause: str, remedy: str, counts: bool = False) -> None:
        super().__init__(f"{cause}. {remedy}.")
        self.cause, self.remedy, self.counts = cause, remedy, counts


def too_large(cause: str, limit: str) -> SKDError:
    """A study beyond a limit of the configuration."""
    return SKDError("the study", cause, f"Raise {limit} in [limits], or let it be", "too_large")


def not_stored(status: int) -> Later | SKDError:
    """What it means that an object was not stored.

    Args:
        status: of C-STORE (PS3.4 table B.2-1), or the reason of STOW-RS (PS3.18 table I.2-2).
    """
    if status & 0xFF00 == 0xA700:
        return Later("the PACS is out of resources", "Free some space there")
    cause = f"the PACS refuses it (status {status:04X}H)"
    remedy = "Look up the status in PS3.4, Table B.2-1, and the PACS's log"
    # PACS say these of troubles of their own as well, such as a database that is busy.
    if status == _PROCESSING_FAILURE or (status & 0xF000 == 0xC000 and status != _SYNTAX_NOT_SUPPORTED):
        return Later(cause, remedy, counts=True)
    return SKDError("the report", cause, remedy, "unsupported")


def not_listening(address: str, port: int, table: str, error: OSError) -> SKDError:
    """An address and port of a table of the configuration that cannot be listened on."""
    remedy = f"{'Choose another port' if error.errno in _PORT else 'Check address'} in [{table}]"
    return SKDError(f"{address}:{port}", f"cannot be listened on ({error.strerror})", remedy)


def disk_trouble(error: OSError) -> Later:
    """A disk that cannot be written to, as a reason to wait."""
    if error.errno in FULL:
        return Later("the disk of the data folder is full", "Free some space")
    return Later(f"the data folder cannot be used ({error.strerror or type(error).__name__})", "Check its disk")
