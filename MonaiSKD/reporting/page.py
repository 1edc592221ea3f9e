"""A batch of results as one HTML page, for people: no second file, no network, everything escaped."""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.resources
import math
import os
import tempfile
from array import array
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path, PurePath
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from MonaiSKD import __version__
from MonaiSKD.errors import SKDError
from MonaiSKD.files import atomic_path, refuse_changed, reserve_beside, state_of, writing
from MonaiSKD.reporting import charts, overlay
from MonaiSKD.reporting.sentences import NOT_CLINICAL, Totals, answer, apart, cause, printable, sentence, unreliable
from MonaiSKD.runtime.result import Failure, ModelIdentity, Result, Slices

if TYPE_CHECKING:
    import jinja2

_FIRST, _MORE = 200, 200
_HEATMAPS = 4  # of one volume, shown


class PageWriter:
    """Writes a page while results come in: each becomes HTML at once and waits on the disk, not in memory.

    The page appears under its name when it is closed, in the place of an older file. When the block fails or is
    stopped, what was added until then is written as `<name>.partial.html` (`<name>.2.partial.html` beside an older one)
    and says that it is not whole. A whole page goes there, too, where its name cannot be written, or was written by
    another program meanwhile.

    The first 200 results are shown with pictures and slice curves, and so are up to 200 further ones that are not
    reliable; all others without. The page says so.

    Args:
        path: of the page. Its folder is made when it is absent.
        model: which model answered.
        identify: show whose images they are.
        modality: such as `chest_xray`; for the head of the page.

    Raises:
        SKDError: the page cannot be written, another program has written it meanwhile, or jinja2 is absent.
    """

    def __init__(
        self, path: str | os.PathLike[str], model: ModelIdentity, identify: bool = False, modality: str = ""
    ) -> None:
        self.path = Path(path)
        self.model = model
        self.identify = identify
        self.modality = modality
        self.totals = Totals()
        self._templates = _templates()
        self._atypicality = array("d")
        self._limit = math.nan
        self._classes: dict[str, None] = {}
        self._pictured = self._pictured_atypical = self._left_out = 0
        self._heat = False
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._before = state_of(self.path)
            # Nameless and beside the page: pictures of patients must not stay behind in a folder for all.
            self._rows, self._failures = _nameless(self.path.parent), _nameless(self.path.parent)

    def add(self, row: Result | Failure, pixels: npt.NDArray[np.float32] | None = None) -> None:
        """Add one result or failure.

        Args:
            row: what to show.
            pixels: float32 (H, W) or (1, H, W) in [0, 1], the image to show small; by default that of the first heat
                map, and no picture where there is none.
        """
        self.totals.add(row)
        if isinstance(row, Failure):
            values, file = _failure_values(row), self._failures
        else:
            values, file = self._result_values(row, pixels), self._rows
        text = self._templates["page_row"].render(values)
        with writing(self.path):
            file.write(text)

    def close(self) -> None:
        """Write the page."""
        try:
            refuse_changed(self.path, self._before)
            self._write(self.path, interrupted=False)
        except SKDError as error:
            partial = self._write_partial(interrupted=False)
            raise SKDError(self.path, error.cause, f"The page of this run is {partial}") from error

    def abandon(self) -> None:
        """Write what was added until now as `<name>.partial.html`, if it was anything."""
        if self.totals.inputs:
            self._write_partial(interrupted=True)

    def __enter__(self) -> PageWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._rows, self._failures:
            if kind is None:
                self.close()
            else:
                self.abandon()

    def _write_partial(self, interrupted: bool) -> Path:
        with writing(self.path):
            path = reserve_beside(self.path.with_suffix(""), ".partial.html")
        try:
            self._write(path, interrupted)
        except SKDError:
            path.unlink(missing_ok=True)  # nothing is in it
            raise
        return path

    def _write(self, path: Path, interrupted: bool) -> None:
        counts = {name: self.totals.labels[name] for name in self._classes}
        context = {
            "title": "Classification results",
            "modality": printable(self.modality),
            "model": ModelIdentity(*map(printable, (self.model.name, self.model.version, self.model.sha256))),
            "written": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %z"),
            "version": __version__,
            "not_clinical": NOT_CLINICAL,
            "interrupted": interrupted,
            "identified": self.identify,
            "totals": self.totals,
            "counts": _markup(charts.count_bars(counts)),
            "histogram": _markup(charts.atypicality_histogram(self._atypicality, self._limit)) if counts else "",
            "rows": _pieces(self._rows),
            "failures": _pieces(self._failures),
            "heat": self._heat,
            "left_out": self._left_out,
            "first": _FIRST,
            "more": _MORE,
        }
        with atomic_path(path) as beside, beside.open("w", encoding="utf-8", errors="backslashreplace") as file:
            for piece in self._templates["page"].generate(context):
                file.write(piece)

    def _result_values(self, result: Result, pixels: npt.NDArray[np.float32] | None) -> dict[str, Any]:
        self._atypicality.append(result.atypicality)
        self._limit = result.atypicality_threshold
        self._classes |= dict.fromkeys(result.probabilities)
        shown = self._room_for_pictures(result.atypical)
        self._left_out += not shown
        picture, heat = _pictures(result, pixels) if shown else ("", [])
        self._heat |= bool(heat)
        slices, classes = result.slices, list(result.probabilities)
        curve = charts.slice_curves(slices, classes, result.label) if slices is not None and shown else ""
        value, limit = apart(result.atypicality, result.atypicality_threshold, 2)
        return {
            **_name(result.input),
            "result": result,
            "order": self.totals.answered,
            "label": printable(result.label),
            "warning": unreliable(result),
            "answer": answer(result),
            "warnings": [sentence(text) for text in result.warnings],
            "slices_text": "" if slices is None else _slices_text(slices),
            "identity": _identity(result) if self.identify else [],
            "bars": _markup(charts.probability_bars(result.probabilities, result.thresholds)),
            "curve": _markup(curve),
            "picture": picture,
            # Of one image beside it, of a volume below, each with the number of its slice.
            "beside": heat if slices is None else [],
            "heat": [] if slices is None else heat,
            "atypicality": value,
            "limit": limit,
            "sort_p": _number(result.probabilities[result.label]),
            "sort_atypicality": _number(result.atypicality),
            "sort_ms": _number(result.milliseconds),
        }

    def _room_for_pictures(self, atypical: bool) -> bool:
        if self._pictured < _FIRST:
            self._pictured += 1
            return True
        if atypical and self._pictured_atypical < _MORE:
            self._pictured_atypical += 1
            return True
        return False


def _pictures(result: Result, pixels: npt.NDArray[np.float32] | None) -> tuple[str, list[tuple[str, str]]]:
    """The small picture's address, and address and words of each heat map."""
    heat = []
    for heatmap in result.heatmaps[:_HEATMAPS]:
        words = f"Evidence for {printable(heatmap.label)}"
        if result.slices is not None:
            words += f", slice {heatmap.slice + 1}"
        shape = overlay.small_shape(heatmap.pixels.shape)
        heat.append((overlay.data_uri(overlay.blend(heatmap, shape)), words))
    if pixels is None and result.heatmaps:
        pixels = result.heatmaps[0].pixels
    return "" if pixels is None else overlay.data_uri(overlay.thumbnail(pixels)), heat


def _failure_values(failure: Failure) -> dict[str, Any]:
    message, remedy = sentence(cause(failure)), sentence(failure.remedy)
    return {**_name(failure.input), "failure": failure, "message": message, "remedy": remedy}


def _name(path: str) -> dict[str, str]:
    name = PurePath(path).name
    return {
        "folder": printable(path[: len(path) - len(name)] if path.endswith(name) else ""),
        "name": printable(name or path),
    }


def _slices_text(slices: Slices) -> str:
    text = f"{int(slices.used.sum())} of {len(slices.used)} slices used"
    return f"{text}; key slices {', '.join(str(index + 1) for index in slices.key)}" if slices.key else text


def _identity(result: Result) -> list[tuple[str, str]]:
    identity = result.identity
    if identity is None:
        return []
    named = {"Patient ID": identity.patient_id, "Name": identity.patient_name}
    named |= {"Study": identity.study_uid, "Series": identity.series_uid}
    return [(key, printable(value)) for key, value in named.items() if value]


def _number(value: float) -> str:
    """A number as JavaScript reads it."""
    return f"{value:.6g}" if math.isfinite(value) else "Infinity"


def _nameless(folder: Path) -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace", dir=folder)


def _pieces(file: IO[str]) -> Iterator[Any]:
    """What a temporary file holds, as finished HTML, a bounded piece at a time."""
    file.seek(0)
    while piece := file.read(1 << 16):
        yield _markup(piece)
    file.seek(0, os.SEEK_END)


def _markup(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)  # only what this package wrote and escaped itself


@functools.lru_cache(maxsize=1)
def _templates() -> dict[str, jinja2.Template]:
    try:
        import jinja2
    except ModuleNotFoundError as error:
        raise SKDError(
            "jinja2", "is not installed, and the page needs it", "pip install jinja2", "not_installed"
        ) from error
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    # The policy of the page allows this style and this script, and no other.
    environment.filters["digest"] = lambda text: (
        "sha256-" + base64.b64encode(hashlib.sha256(str(text).encode("utf-8")).digest()).decode("ascii")
    )
    folder = importlib.resources.files("MonaiSKD.reporting")
    return {
        name: environment.from_string(folder.joinpath(f"{name}.html.j2").read_text(encoding="utf-8"))
        for name in ("page", "page_row")
    }
