from __future__ import annotations

import pytest
from dicom_writing import item
from pydicom import Dataset

from MonaiSKD.reading.dicom.geometry import Geometry, frame_geometry

AXIAL = [1, 0, 0, 0, 1, 0]


def test_a_plain_header_says_where_its_frame_lies() -> None:
    header = item(
        **{"ImagePositionPatient": [-10, -20, 30.5], "ImageOrientationPatient": [0, 1, 0, 0, 0, -1]},
        **{"PixelSpacing": [0.5, 0.25], "SliceThickness": 2.5},
    )
    found = frame_geometry(header)
    assert found == Geometry((-10.0, -20.0, 30.5), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0), (0.5, 0.25), 2.5)
    assert found.normal == (-1.0, 0.0, 0.0)


def test_functional_groups_of_a_frame_go_before_the_shared_ones_and_the_plain_header() -> None:
    def position(z: float) -> Dataset:
        return item(PlanePositionSequence=[item(ImagePositionPatient=[0, 0, z])])

    header = item(
        ImagePositionPatient=[9, 9, 9],
        PixelSpacing=[9, 9],
        PerFrameFunctionalGroupsSequence=[position(1), position(2)],
        SharedFunctionalGroupsSequence=[
            item(
                PlaneOrientationSequence=[item(ImageOrientationPatient=AXIAL)],
                PixelMeasuresSequence=[item(PixelSpacing=[0.5, 0.25], SliceThickness=3)],
            )
        ],
    )
    assert [frame_geometry(header, frame).position for frame in (0, 1)] == [(0.0, 0.0, 1.0), (0.0, 0.0, 2.0)]
    found = frame_geometry(header, 1)
    assert (found.normal, found.spacing, found.thickness) == ((0.0, 0.0, 1.0), (0.5, 0.25), 3.0)
    # A frame that has no group of its own has no position either; the plain one is the first frame's.
    assert frame_geometry(header, 2).position is None


@pytest.mark.parametrize(
    ("elements", "spacing"),
    [
        ({"ImagerPixelSpacing": [0.2, 0.1]}, (0.2, 0.1)),
        ({"ImagerPixelSpacing": [0.2, 0.1], "EstimatedRadiographicMagnificationFactor": 2}, (0.1, 0.05)),
        ({"ImagerPixelSpacing": [0.2, 0.1], "EstimatedRadiographicMagnificationFactor": 0}, (0.2, 0.1)),
        ({"ImagerPixelSpacing": [0.2, 0.1], "PixelSpacing": [0, 0]}, (0.2, 0.1)),
        ({"ImagerPixelSpacing": [0.2, 0.1], "PixelSpacing": [0.3, 0.3]}, (0.3, 0.3)),
        ({"NominalScannedPixelSpacing": [0.4, 0.4]}, (0.4, 0.4)),
        ({"PixelSpacing": [0.5]}, None),
        ({"PixelSpacing": [0.5, -1]}, None),
        ({}, None),
    ],
)
def test_spacing_is_that_of_the_patient_or_of_the_detector(elements: dict, spacing: tuple | None) -> None:
    found = frame_geometry(item(**elements)).spacing
    assert found == (None if spacing is None else pytest.approx(spacing))


@pytest.mark.parametrize(
    "cosines", [[1, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0], [1, 0, 0, 1, 0, 0], [2, 0, 0, 0, 1, 0], [1, 0, 0, 0.7, 0.7, 0]]
)
def test_impossible_directions_are_unknown(cosines: list[float]) -> None:
    found = frame_geometry(item(ImageOrientationPatient=cosines))
    assert (found.row, found.column, found.normal) == (None, None, None)


def test_rounded_directions_are_made_unit_vectors() -> None:
    found = frame_geometry(item(ImageOrientationPatient=[0.6, 0.8004, 0, 0, 0, -1]))
    assert found.row == pytest.approx((0.59981, 0.80014, 0.0), abs=1e-4)
    assert sum(part**2 for part in found.row or ()) == pytest.approx(1.0, abs=1e-12)


def test_text_in_place_of_numbers_is_unknown() -> None:
    header = Dataset()
    header.add_new("SliceThickness", "LO", "thick")
    header.add_new("PixelSpacing", "LO", ["a", "b"])
    header.add_new("ImagePositionPatient", "LO", ["1", "2", "nan"])
    assert frame_geometry(header) == Geometry()
