"""A DICOM file opened and its first frame decoded, or refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from MonaiSKD.errors import SKDError
from MonaiSKD.reading.dicom.dataset import open_dataset
from MonaiSKD.reading.dicom.values import stored_frame

RAMP = np.arange(-6, 6, dtype=np.int16).reshape(3, 4)


def opened(path: Path, pixels: bool = True) -> None:
    data = open_dataset(path, pixels=pixels)
    if pixels:
        assert stored_frame(data).ndim == 2


def refused(path: Path, pixels: bool = True) -> SKDError:
    with pytest.raises(SKDError) as caught:
        opened(path, pixels)
    assert caught.value.thing == str(path)
    assert caught.value.remedy
    return caught.value
