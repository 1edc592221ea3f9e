"""The two ways in which a study is not answered: later (:class:`Later`), or never (:class:`SKDError`)."""

from __future__ import annotations

import errno

from MonaiSKD.errors import SKDError

FULL = (errno.ENOSPC, errno.EDQUOT)


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


def disk_trouble(error: OSError) -> Later:
    """A disk that cannot be written to, as a reason to wait."""
    if error.errno in FULL:
        return Later("the disk of the data folder is full", "Free some space")
    return Later(f"the data folder cannot be used ({error.strerror or type(error).__name__})", "Check its disk")
