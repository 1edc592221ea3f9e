"""Results made by hand, so that every expected word and number can be worked out on paper.

The fixtures are frozen or functions, so they last for the session, and property tests may use them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from MonaiSKD.errors import Code
from MonaiSKD.reading.image import Identity
from MonaiSKD.runtime.result import Failure, HeatMap, ModelIdentity, Result, Slices

MODEL = ModelIdentity("chest_xray", "1.2.0", "0123456789abcdef" * 4)
THRESHOLDS = {"normal": 0.35, "pneumonia": 0.45, "covid": 0.40}
IDENTITY = Identity("4711", "Müller^Hans", "1.2.3", "1.2.3.4")


def result_of(probabilities: tuple[float, ...] = (0.11, 0.87, 0.02), input: str = "a/p01.png", **fields: Any) -> Result:
    values = dict(zip(THRESHOLDS, probabilities, strict=True))
    given: dict[str, Any] = {
        "input": input,
        "label": max(values, key=lambda name: values[name]),
        "probabilities": values,
        "thresholds": THRESHOLDS,
        "atypicality": 0.25,
        "atypicality_threshold": 1.0,
        "model": MODEL,
        "milliseconds": 41.26,
    }
    return Result(**{**given, **fields})


def slices_of(count: int = 4, key: tuple[int, ...] = (2, 1)) -> Slices:
    """The first slice is unused; covid rises towards the end."""
    covid = np.linspace(0.1, 0.7, count)
    return Slices(
        probabilities=np.stack([0.9 - covid, np.full(count, 0.1), covid], axis=1).astype(np.float32),
        atypicality=np.full(count, 0.5, dtype=np.float32),
        used=np.arange(count) > 0,
        key=key,
        positions=tuple(-10.0 + 2.5 * index for index in range(count)),
    )


def heatmap_of(label: str = "pneumonia", slice: int = 0, shape: tuple[int, int] = (64, 48)) -> HeatMap:
    """One peak of 2 logits in the lower right of a grey image."""
    values = np.array([[-1, 0, 0], [0, 0, 0], [0, 0, 2]], dtype=np.float32)
    return HeatMap(values, label, slice, np.full(shape, 0.5, dtype=np.float32))


@pytest.fixture(scope="session")
def make_result() -> Callable[..., Result]:
    """A result; every field can be given."""
    return result_of


@pytest.fixture(scope="session")
def make_slices() -> Callable[..., Slices]:
    """Slices of a volume."""
    return slices_of


@pytest.fixture(scope="session")
def make_heatmap() -> Callable[..., HeatMap]:
    """A heat map."""
    return heatmap_of


@pytest.fixture(scope="session")
def make_failure() -> Callable[..., Failure]:
    """A failure."""

    def failure(input: str = "b.dcm", code: Code = "damaged") -> Failure:
        return Failure(input, code, f"{input}: its pixel data end too early", "Export it again")

    return failure


@pytest.fixture(scope="session")
def volume() -> Result:
    """A volume of four slices with two heat maps, whose owner is known."""
    return result_of(
        (0.20, 0.05, 0.75),
        input="ct/series 7",
        slices=slices_of(),
        heatmaps=[heatmap_of("covid", 2), heatmap_of("covid", 1)],
        identity=IDENTITY,
        applied=("sorted by position", "window -1350 to 150 HU"),
        warnings=("gantry tilt of 3.1 degrees",),
    )


@pytest.fixture(scope="session")
def classes() -> tuple[str, ...]:
    """The classes of every result here."""
    return tuple(THRESHOLDS)


@pytest.fixture(scope="session")
def model() -> ModelIdentity:
    """The model that answered."""
    return MODEL


@pytest.fixture(scope="session")
def make_identity() -> Callable[[str], Identity]:
    """Whose image it is; the patient's name can be given."""
    return lambda name: dataclasses.replace(IDENTITY, patient_name=name)
