"""The one exception that means "the user can mend this"."""

from __future__ import annotations

from typing import Literal, get_args

Code = Literal[
    "invalid",  # an option, a configuration, anything that none of the others names
    "not_found",  # there is no such file, or it may not be read
    "not_an_image",  # a report, a text, a mask, a file of another kind
    "damaged",  # an image that cannot be decoded, or contradicts itself
    "unsupported",  # an image, but of a kind that is not read (transfer syntax, several volumes, ...)
    "too_large",  # refused before it could exhaust the memory
    "wrong_modality",  # an image of another modality than the model's
    "wrong_body_part",  # of the modality, but of another part of the body, view or species
    "not_installed",  # an optional package is absent
    "model",  # the model file is foreign, damaged or of another version
    "internal",  # a defect of this package
]
CODES: tuple[str, ...] = get_args(Code)


class SKDError(Exception):
    """A problem that its reader can mend.

    The command line prints it as one sentence and exits with :attr:`exit_code`; every other exception is a defect of
    this package and keeps its traceback.

    Args:
        thing: what the problem is about: a file, an option, a model name.
        cause: what is wrong with it, without a full stop.
        remedy: what to do about it, without a full stop.
        code: what kind of problem it is, for programs; one of :data:`CODES`.

    Example:
        >>> str(SKDError("data.csv", "it has no column 'label'", "Name the columns path,label in line 1"))
        "data.csv: it has no column 'label'. Name the columns path,label in line 1."
    """

    exit_code = 2

    def __init__(self, thing: object, cause: str, remedy: str, code: Code = "invalid") -> None:
        super().__init__(f"{thing}: {cause}. {remedy}.")
        self.thing = str(thing)
        self.cause = cause
        self.remedy = remedy
        self.code: Code = code
