"""The answer for whatever is given: a result or a refusal with a code, soon and in little memory."""

from __future__ import annotations

import contextlib
import io
import time
from pathlib import Path

import numpy as np
from fuzz import seeds, usage

from MonaiSKD.errors import CODES
from MonaiSKD.reading.sources import Source
from MonaiSKD.runtime import Classifier, Failure, Result

RULES = ("chest_xray", "lung_ct", "brain_mri")
SECONDS = 10
MEGABYTES = 1024  # measured where there is /proc


def answer(classifier: Classifier, path: Path) -> Result | Failure:
    """The answer for one path, having taken neither long nor much."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    before, start = usage.memory("VmRSS"), time.process_time()
    found = classifier.attempt(Source(str(path), (str(path),)))
    assert time.process_time() - start < SECONDS
    assert usage.memory("VmHWM") - before < MEGABYTES
    if isinstance(found, Failure):
        assert found.code in CODES
        assert found.code != "internal", found
    else:
        assert np.isfinite(list(found.probabilities.values())).all()
    return found


def code(found: Result | Failure) -> str:
    return found.code if isinstance(found, Failure) else "result"


def codes(classifiers: dict[str, Classifier], path: Path) -> tuple[str, ...]:
    return tuple(code(answer(classifiers[rule], path)) for rule in RULES)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def dicom(tmp_path: Path, modality: str = "CT", syntax: str = "1", size: int = 40, **tags: object) -> Path:
    content = seeds.dicom(modality, f"1.2.840.10008.1.2.{syntax}", size)
    if tags:
        import pydicom

        dataset = pydicom.dcmread(io.BytesIO(content))
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
        written = io.BytesIO()
        dataset.save_as(written)
        content = written.getvalue()
    return write(tmp_path / f"{modality}.dcm", content)
