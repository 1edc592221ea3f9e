"""From a volume node to what the classifier reads; and the reasons why some nodes cannot be classified. No Qt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import slicer
import vtk

from SKDClassifierLib.scene import HeatMapNode

if TYPE_CHECKING:
    from MonaiSKD.reading import CanonicalRule, Series

# Set by Slicer's DICOM plugins: the SOP Instance UIDs behind a volume, with blanks between.
INSTANCE_UIDS = "DICOM.instanceUIDs"
# Set on volumes that this module loaded from a DICOM file outside of the database: that file.
FILE = "SKDClassifier.file"
_CHOOSE = "Choose a scalar volume: a radiograph, a CT or an MR"


class DicomDatabase(Protocol):
    """The part of ctkDICOMDatabase that is used."""

    def fileForInstance(self, uid: str) -> str:
        """The file of an instance; empty text where there is none."""

    def filesForSeries(self, uid: str) -> list[str]:
        """The files of a series."""

    def seriesForStudy(self, uid: str) -> list[str]:
        """The series of a study."""

    def patients(self) -> list[str]:
        """All patients, by the database's own numbers."""

    def studiesForPatient(self, patient: str) -> list[str]:
        """The studies of a patient."""

    def nameForPatient(self, patient: str) -> str:
        """The patient's name."""

    def descriptionForStudy(self, uid: str) -> str:
        """The study's description."""

    def fieldForStudy(self, field: str, uid: str) -> str:
        """A column of the study's row, such as StudyDate."""

    def fieldForSeries(self, field: str, uid: str) -> str:
        """A column of the series' row, such as Modality."""

    def instanceValue(self, uid: str, tag: str) -> str:
        """An entry of an instance's header."""


@dataclass(frozen=True, eq=False)
class CapturedVolume:
    """What is taken from a volume node on the main thread, at once and without a copy; reading it needs no scene.

    Args:
        node_id: of the node.
        name: of the node.
        values: its voxels (K, J, I), or (K, J, I, C) with several values a voxel.
        file: the first DICOM file behind it; empty where it was not loaded from the database.
        ijk_to_ras: (4, 4), of the node.
        to_world: (4, 4), from the node's own RAS to the world's; other than the identity under a linear transform.
        image: the node's image; held, so that its memory outlives the node.
        changed: its time of modification.
    """

    node_id: str
    name: str
    values: np.ndarray
    file: str
    ijk_to_ras: np.ndarray
    to_world: np.ndarray
    image: vtk.vtkImageData
    changed: int


@dataclass(frozen=True, eq=False)
class PreparedVolume:
    """A volume, read for classifying; nothing in it touches the scene.

    Args:
        captured: what was taken from its node.
        series: its slices as canonical images.
        affine: (4, 4), from (column, row, slice) of the pictures to millimetres in the node's own RAS.
        picture: (H, W) of a slice.
    """

    captured: CapturedVolume
    series: Series
    affine: np.ndarray
    picture: tuple[int, int]

    def centres(self) -> np.ndarray:
        """The middle of each slice in the world's RAS: float64 (S, 3)."""
        height, width = self.picture
        count = len(self.series)
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        places = np.column_stack([np.tile(middle, (count, 1)), np.arange(count), np.ones(count)])
        return (self.captured.to_world @ self.affine @ places.T).T[:, :3]


def capture(node: Any, database: DicomDatabase | None = None) -> CapturedVolume:
    """Take from a volume node what reading needs (main thread; takes no noticeable time).

    Args:
        node: what the user chose.
        database: where headers of volumes loaded from DICOM are found.

    Raises:
        SKDError: no volume, a segmentation, no voxels, a series in time.
    """
    values = _values(node)
    image = node.GetImageData()
    file = next(_files(node, database), "")
    return CapturedVolume(
        node.GetID(), node.GetName(), values, file, _ijk_to_ras(node), _to_world(node), image, image.GetMTime()
    )


def read(captured: CapturedVolume, rule: CanonicalRule) -> PreparedVolume:
    """Read what was captured, in any thread; the slices of a volume are read later, where and when they are asked for.

    A radiograph loaded from the DICOM database gets its window and its polarity back from its header, so that it gives
    the answer that its file gives. Without a header it is turned upright as its place in the world says.

    Args:
        captured: the volume.
        rule: how values become the canonical image.

    Raises:
        SKDError: colours, NaN, a mask, another modality, ...
    """
    from MonaiSKD.errors import SKDError
    from MonaiSKD.reading import from_volume_array, from_volume_node
    from MonaiSKD.reading.volume import one_image

    values, name, ijk_to_ras = grey(captured), captured.name, captured.ijk_to_ras
    header = _header(captured.file)
    if rule.modality == "chest_xray" and header is not None:
        image = from_volume_node(values, rule, header=header, path=name)
        return PreparedVolume(captured, one_image(image, ()), ijk_to_ras, image.pixels.shape[1:])
    series = from_volume_array(values, captured.to_world @ ijk_to_ras, rule, path=name)
    series = replace(series, warnings=(*_doubts(header, rule), *series.warnings))
    if series.affine is None:
        raise SKDError(name, "its place in space is not known", "Load the volume again", "unsupported")
    affine = np.linalg.inv(captured.to_world) @ series.affine
    return PreparedVolume(captured, series, affine, series.read(0).pixels.shape[1:])


def prepare(node: Any, rule: CanonicalRule, database: DicomDatabase | None = None) -> PreparedVolume:
    """Capture and read in one go.

    Raises:
        SKDError: see :func:`capture` and :func:`read`.
    """
    return read(capture(node, database), rule)


def study_of(node: Any, database: DicomDatabase | None) -> str:
    """The study that a volume was loaded from; empty text where that is not known."""
    uids = (node.GetAttribute(INSTANCE_UIDS) or "").split() if node is not None else []
    return database.instanceValue(uids[0], "0020,000D") if uids and database is not None else ""


def grey(captured: CapturedVolume) -> np.ndarray:
    """The voxels (K, J, I), of a grey picture that was saved in colours, too.

    Raises:
        SKDError: it is a colour image.
    """
    values = captured.values
    if values.ndim == 3:
        return values
    from MonaiSKD.errors import SKDError

    colours = values[..., : 3 if values.shape[-1] > 2 else 1]
    if not (colours == colours[..., :1]).all():
        remedy = "Convert it with the module 'Vector to Scalar Volume', or choose a grey image"
        raise SKDError(captured.name, "is a colour image", remedy, "unsupported")
    return values[..., 0]


def unchanged(captured: CapturedVolume, scene: Any) -> Any:
    """The node that was captured.

    Raises:
        SKDError: it was deleted or changed since.
    """
    from MonaiSKD.errors import SKDError

    node = scene.GetNodeByID(captured.node_id)
    if node is None:
        raise SKDError(captured.name, "was deleted while it was classified", "Load it again, then classify it")
    image = node.GetImageData()
    same_place = np.array_equal(place_of(node), captured.to_world @ captured.ijk_to_ras)
    if image is not captured.image or image.GetMTime() != captured.changed or not same_place:
        raise SKDError(captured.name, "was changed while it was classified", "Classify it again")
    return node


def dicom_files(node: Any, database: DicomDatabase | None) -> tuple[str, ...]:
    """The DICOM files behind a volume; empty where none are known."""
    return tuple(_files(node, database))


def _values(node: Any) -> np.ndarray:
    """The node's voxels, without a copy."""
    from MonaiSKD.errors import SKDError

    if node is None:
        raise SKDError("volume", "none is chosen", "Load an image, then choose it", "not_found")
    name = node.GetName() or "volume"
    if node.IsA("vtkMRMLSegmentationNode") or node.IsA("vtkMRMLLabelMapVolumeNode"):
        raise SKDError(name, "is a segmentation, not an image", _CHOOSE, "not_an_image")
    if not node.IsA("vtkMRMLScalarVolumeNode"):
        raise SKDError(name, f"is no volume ({node.GetNodeTagName()})", _CHOOSE, "not_an_image")
    if HeatMapNode.is_heat_map(node):
        raise SKDError(name, "is a heat map, not an image", "Choose the image that it belongs to", "not_an_image")
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
        raise SKDError(name, "holds no voxels", "Load the image again", "damaged")
    components = image.GetNumberOfScalarComponents()
    if components > 1 and (node.IsA("vtkMRMLDiffusionWeightedVolumeNode") or components > 4):
        raise SKDError(
            name, f"holds {components} values a voxel (a series in time, or diffusion)", _CHOOSE, "unsupported"
        )
    return slicer.util.arrayFromVolume(node)


def _files(node: Any, database: DicomDatabase | None) -> Iterator[str]:
    """The files behind a volume, each looked up when it is asked for."""
    if node is None:
        return
    own = node.GetAttribute(FILE)
    if own and Path(own).is_file():
        yield own
        return
    if database is None:
        return
    for uid in (node.GetAttribute(INSTANCE_UIDS) or "").split():
        file = database.fileForInstance(uid)
        if file:
            yield file


def _header(file: str) -> Any:
    if not file:
        return None
    from MonaiSKD.reading.dicom.dataset import open_dataset

    return open_dataset(file, pixels=False)


def _doubts(header: Any, rule: CanonicalRule) -> tuple[str, ...]:
    """What the header says against an image of this modality."""
    if header is None:
        return ()
    from MonaiSKD.reading.dicom.suitability import check_suitable

    return tuple(check_suitable(header, rule))


def _ijk_to_ras(node: Any) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def place_of(node: Any) -> np.ndarray:
    """(4, 4), from a volume's voxels to the world."""
    return _to_world(node) @ _ijk_to_ras(node)


def _to_world(node: Any) -> np.ndarray:
    """The node's linear transform to the world; the identity where it has none, or one that bends."""
    parent = node.GetParentTransformNode()
    matrix = vtk.vtkMatrix4x4()
    if parent is not None and parent.IsTransformToWorldLinear():
        parent.GetMatrixTransformToWorld(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)
