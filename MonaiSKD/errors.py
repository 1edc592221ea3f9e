"""The one exception that means "the user can mend this"."""

from __future__ import annotations


class SKDError(Exception):
    """A problem that its reader can mend.

    The command line prints it as one sentence and exits with :attr:`exit_code`; every other exception is a defect of
    this package and keeps its traceback.

    Args:
        thing: what the problem is about: a file, an option, a model name.
        cause: what is wrong with it, without a full stop.
        remedy: what to do about it, without a full stop.

    Example:
        >>> str(SKDError("data.csv", "it has no column 'label'", "Add one, or name the column with --label-column"))
        "data.csv: it has no column 'label'. Add one, or name the column with --label-column."
    """

    exit_code = 2

    def __init__(self, thing: object, cause: str, remedy: str) -> None:
        super().__init__(f"{thing}: {cause}. {remedy}.")
        self.thing = str(thing)
        self.cause = cause
        self.remedy = remedy
