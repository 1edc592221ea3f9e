"""Heat maps as DICOM images of the same study: a colour picture for every viewer, or the values themselves."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import numpy.typing as npt

from MonaiSKD import __version__
from MonaiSKD.choices import HeatmapKind
from MonaiSKD.errors import SKDError
from MonaiSKD.reading.dicom.geometry import frame_geometry
from MonaiSKD.reading.dicom.header import functional_group, number, quiet
from MonaiSKD.reading.image import Instance
from MonaiSKD.reading.orientation import AxialView, axial_view
from MonaiSKD.reporting import dicom_common as common
from MonaiSKD.reporting.overlay import heat_overlay, heat_values
from MonaiSKD.reporting.sentences import NOT_CLINICAL
from MonaiSKD.runtime.result import HeatMap, ModelIdentity

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# Functional groups of a multi-frame image that place a frame (PS3.3 C.7.6.16.2).
_PLANE = (
    ("PixelMeasuresSequence", "shared", ("PixelSpacing", "SliceThickness")),
    ("PlaneOrientationSequence", "shared", ("ImageOrientationPatient",)),
    ("PlanePositionSequence", "own", ("ImagePositionPatient",)),
)


@quiet()
def write_heatmaps(
    heatmaps: Iterable[HeatMap],
    folder: str | Path,
    kind: HeatmapKind = "secondary-capture",
    model: ModelIdentity | None = None,
) -> list[Path]:
    """Write each heat map that has a DICOM instance, as an object of that instance's study.

    The heat maps of one series and one call form one new series, numbered in the order given.

    Args:
        heatmaps: those without an instance are left out.
        folder: where to write; made when absent. Files are named by their SOP Instance UID.
        kind: "secondary-capture": the picture with the heat over it, RGB (PS3.3 A.8.1), which any viewer shows.
            "parametric-map": float values from 0 (nothing speaks for the class) to 1 (this map's maximum) on the grid
            of the stored slice (PS3.3 A.75), which a viewer lays over the slice. It needs an axial slice with position,
            orientation and frame of reference; others (all radiographs) become secondary captures.
        model: which model answered, where it shall be named.

    Returns:
        The files, in the order of the heat maps.

    Raises:
        SKDError: highdicom is absent, a source cannot be read or referred to, the folder cannot be written.
    """
    common.require_dicom()
    if kind not in get_args(HeatmapKind):
        raise SKDError(f"kind {kind!r}", "is unknown", f"Choose {' or '.join(get_args(HeatmapKind))}")
    run = uuid.uuid4().hex
    counts: dict[str, int] = {}
    paths = []
    for heatmap in heatmaps:
        if heatmap.instance is None:
            continue
        header = common.read_header(heatmap.instance.path)
        view = _geometry(header, heatmap.instance)
        mapped = kind == "parametric-map" and view is not None and "FrameOfReferenceUID" in header
        made = "parametric-map" if mapped else "secondary-capture"
        series = common.stable_uid("heat maps", run, header.SeriesInstanceUID, made)
        counts[series] = counts.get(series, 0) + 1
        if mapped and view is not None:
            image = _parametric_map(heatmap, _plane(header, heatmap.instance), view)
        else:
            image = _capture(heatmap, header, view)
        image.SeriesInstanceUID, image.InstanceNumber = series, counts[series]
        _describe(image, heatmap, header, model)
        common.complete(image, header)
        paths.append(common.save(image, folder))
    return paths


def _capture(heatmap: HeatMap, header: Dataset, view: AxialView | None) -> Dataset:
    """The overlay picture as a Secondary Capture Image."""
    from highdicom import UID
    from highdicom.sc import SCImage

    image = SCImage(
        pixel_array=np.asarray(heat_overlay(heatmap).convert("RGB")),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=header.StudyInstanceUID,
        series_instance_uid=UID(),
        series_number=common.SERIES_NUMBERS["secondary-capture"],
        sop_instance_uid=UID(),
        instance_number=1,
        manufacturer=common.MANUFACTURER,
        manufacturer_model_name=common.MANUFACTURER,
        software_versions=__version__,
        patient_orientation=("L", "P"),
    )
    # A slice is shown as read: to the patient's left and to posterior. A radiograph keeps what its header says, which
    # may be nothing (type 2C) or of several letters, which highdicom refuses.
    if view is None:
        image.PatientOrientation = header.get("PatientOrientation", "")
    # The words that are added name no patient and no date, but the source's pixels may. Type 3 (PS3.3 C.7.6.1): where
    # the source does not say, nobody knows.
    if "BurnedInAnnotation" in header:
        image.BurnedInAnnotation = header.BurnedInAnnotation
    return image


def _parametric_map(heatmap: HeatMap, plane: Dataset, view: AxialView) -> Dataset:
    """The values as a Parametric Map of one frame, on the grid of the stored slice."""
    import highdicom
    from highdicom import UID, VOILUTTransformation
    from highdicom.pm import ParametricMap, RealWorldValueMapping
    from pydicom.sr.codedict import codes

    mapping = RealWorldValueMapping(
        lut_label="EVIDENCE",
        lut_explanation=common.long_string(f"Evidence for {heatmap.label}, parts of this map's maximum"),
        unit=codes.UCUM.NoUnits,
        value_range=(0.0, 1.0),
        slope=1.0,
        intercept=0.0,
        quantity_definition=common.class_code(heatmap.label),
    )
    # The last highdicom for pydicom 2, which 3D Slicer 5.10 has, takes the window as two numbers.
    window: dict[str, Any] = {"window_center": 0.5, "window_width": 1.0}
    if tuple(map(int, highdicom.__version__.split(".")[:2])) >= (0, 23):
        window = {"voi_lut_transformations": [VOILUTTransformation(**window)]}
    return ParametricMap(
        source_images=[plane],
        pixel_array=_on_stored_grid(heatmap, plane, view),
        series_instance_uid=UID(),
        series_number=common.SERIES_NUMBERS["parametric-map"],
        sop_instance_uid=UID(),
        instance_number=1,
        manufacturer=common.MANUFACTURER,
        manufacturer_model_name=common.MANUFACTURER,
        software_versions=__version__,
        device_serial_number=__version__,  # of a program, the version is what tells one from another
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        **window,
        content_label="EVIDENCE",
        content_description=common.long_string(f"Evidence for {heatmap.label}"),
        content_qualification="RESEARCH",
    )


def _describe(image: Dataset, heatmap: HeatMap, header: Dataset, model: ModelIdentity | None) -> None:
    """Say in the header what the picture is and what it was made of (PS3.3 C.12.4, General Reference module)."""
    from pydicom.dataset import Dataset

    assert heatmap.instance is not None
    # LO, 64 characters: a long class name gives way, the warning does not.
    image.SeriesDescription = f"Heat map {common.long_string(heatmap.label, 20)}. RESEARCH, not for clinical use"
    by = f" by the model {model.name} {model.version} (sha256 {model.sha256[:16]})" if model else ""
    image.DerivationDescription = (
        f"Where the evidence for the class {heatmap.label} lies{by}: parts of this map's maximum. {NOT_CLINICAL}"
    )
    # Type 2C (PS3.3 C.7.3.1): lungs are a pair, and most headers leave it open.
    image.Laterality = header.get("Laterality", "")
    for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        # What is made of a lossy image stays marked as such (PS3.3 C.7.6.1.1.5).
        if keyword in header:
            setattr(image, keyword, header[keyword].value)
    if "SourceImageSequence" not in image:
        reference = Dataset()
        reference.ReferencedSOPClassUID = header.SOPClassUID
        reference.ReferencedSOPInstanceUID = header.SOPInstanceUID
        purpose = Dataset()
        purpose.CodeValue, purpose.CodingSchemeDesignator = "121322", "DCM"
        purpose.CodeMeaning = "Source image for image processing operation"
        reference.PurposeOfReferenceCodeSequence = [purpose]
        image.SourceImageSequence = [reference]
    if heatmap.instance.frame is not None and "NumberOfFrames" in header:
        for item in _references(image):
            item.ReferencedFrameNumber = heatmap.instance.frame


def _references(image: Dataset) -> list[Dataset]:
    """Every place of a new image that refers to its source."""
    found = list(image.SourceImageSequence)
    for series in image.get("ReferencedSeriesSequence", []):
        found += list(series.ReferencedInstanceSequence)
    for frame in image.get("PerFrameFunctionalGroupsSequence", []):
        for derivation in frame.get("DerivationImageSequence", []):
            found += list(derivation.SourceImageSequence)
    return found


def _plane(header: Dataset, instance: Instance) -> Dataset:
    """The source slice as an image of one frame, without the patient."""
    from pydicom.dataset import Dataset

    plane = common.anonymous(header)
    position = _position(header, instance)
    for keyword, value in position.items():
        setattr(plane, keyword, value)
    if "NumberOfFrames" in header:
        # Of a multi-frame image, the one frame, with the functional groups in which such images say where it lies.
        shared, own = Dataset(), Dataset()
        for name, target, keywords in _PLANE:
            group = Dataset()
            for keyword in keywords:
                if keyword in position:
                    setattr(group, keyword, position[keyword])
            setattr(shared if target == "shared" else own, name, [group])
        plane.NumberOfFrames = 1
        plane.SharedFunctionalGroupsSequence, plane.PerFrameFunctionalGroupsSequence = [shared], [own]
    return plane


def _position(header: Dataset, instance: Instance) -> dict[str, list[float]]:
    """Position, orientation and spacing of the slice, from the image or from the functional groups of its frame."""
    places = [header]
    for item in header.get("SharedFunctionalGroupsSequence", []):
        places += [group for name, _, _ in _PLANE for group in item.get(name, [])]
    frames = header.get("PerFrameFunctionalGroupsSequence", [])
    if instance.frame is not None and 0 < instance.frame <= len(frames):
        places += [group for name, _, _ in _PLANE for group in frames[instance.frame - 1].get(name, [])]
    found = {}
    for place in places:
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
            if place.get(keyword) not in (None, ""):
                found[keyword] = place[keyword].value
    return found


def _geometry(header: Dataset, instance: Instance) -> AxialView | None:
    """How reading turned the stored slice into the picture; None where it lies in no known axial plane."""
    frame = (instance.frame or 1) - 1
    frames, rows, columns = (number(header, keyword) for keyword in ("NumberOfFrames", "Rows", "Columns"))
    if (frames or 1) > 1 and functional_group(header, frame, "PlanePositionSequence") is None:
        return None  # a plain header places the first frame alone, and reading shows such a stack as it is stored
    place = frame_geometry(header, frame)
    if place.position is None or place.row is None or place.column is None or place.spacing is None:
        return None
    if not rows or not columns:
        return None
    affine = np.eye(4)
    # The third axis only has to be the coarsest: one slice has no spacing.
    steps = (place.spacing[1], place.spacing[0], 2 * max(place.spacing))
    row, column = np.array(place.row), np.array(place.column)
    axes = [axis * step for axis, step in zip((row, column, np.cross(row, column)), steps, strict=True)]
    affine[:3] = np.stack([*axes, np.array(place.position)], axis=1) * np.array([[-1.0], [-1.0], [1.0]])  # LPS to RAS
    view = axial_view(affine, (int(columns), int(rows), 1))
    return view if view.plane == "axial" and not view.is_oblique else None


def _on_stored_grid(heatmap: HeatMap, header: Dataset, view: AxialView) -> npt.NDArray[np.float32]:
    """float32 (Rows, Columns) in [0, 1]: the values, turned back from the picture to the slice as it is stored."""
    places = np.arange(header.Rows * header.Columns).reshape(header.Rows, header.Columns)
    shown = view.picture(places)
    values = np.empty(places.size, dtype=np.float32)
    values[shown.ravel()] = heat_values(heatmap, (shown.shape[0], shown.shape[1])).ravel()
    return values.reshape(places.shape)
