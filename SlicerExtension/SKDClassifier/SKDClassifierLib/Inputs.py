"""From a volume node to what the classifier reads; and the reasons why some nodes cannot be classified. No Qt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import slicer
import vtk

if TYPE_CHECKING:
    from MonaiSKD.reading import CanonicalRule, Series

# Set by Slicer's DICOM plugins: the SOP Instance UIDs behind a volume, with blanks between.
INSTANCE_UIDS = "DICOM.instanceUIDs"
_CHOOSE = "Choose a scalar volume: a radiograph, a CT or an MR"


class DicomDatabase(Protocol):
    """The part of ctkDICOMDatabase that is used."""

    def fileForInstance(self, uid: str) -> str:
        """The file of an instance; empty text where there is none."""

    def filesForSeries(self, uid: str) -> list[str]:
        """The files of a series."""

    def seriesForStudy(self, uid: str) -> list[str]:
        """The series of a study."""


@dataclass(frozen=True, eq=False)
class PreparedVolume:
    """A volume node, read for classifying; nothing in it touches the scene.

    Args:
        node_id: of the node.
        name: of the node.
        series: its slices as canonical images.
        affine: (4, 4), from (column, row, slice) of the pictures to millimetres in the node's own RAS.
        to_world: (4, 4), from there to the world's RAS; other than the identity under a linear transform.
        picture: (H, W) of a slice.
        ijk_to_ras: (4, 4), of the node.
        image: the node's image; held, so that its memory outlives the node.
        changed: its time of modification.
    """

    node_id: str
    name: str
    series: Series
    affine: np.ndarray
    to_world: np.ndarray
    picture: tuple[int, int]
    ijk_to_ras: np.ndarray
    image: vtk.vtkImageData
    changed: int

    def centres(self) -> np.ndarray:
        """The middle of each slice in the world's RAS: float64 (S, 3)."""
        height, width = self.picture
        count = len(self.series)
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        places = np.column_stack([np.tile(middle, (count, 1)), np.arange(count), np.ones(count)])
        return (self.to_world @ self.affine @ places.T).T[:, :3]


def prepare(node: Any, rule: CanonicalRule, database: DicomDatabase | None = None) -> PreparedVolume:
    """Read a volume node. Main thread only; the slices of a volume are read later, where and when they are asked for.

    A radiograph loaded from the DICOM database gets its window and its polarity back from its header, so that it gives
    the answer that its file gives.

    Args:
        node: what the user chose.
        rule: how values become the canonical image.
        database: where headers of volumes loaded from DICOM are found.

    Raises:
        SKDError: no volume, colours, a segmentation, several values a voxel, NaN, another modality, ...
    """
    from MonaiSKD.errors import SKDError
    from MonaiSKD.reading import from_volume_array, from_volume_node

    values = _values(node)
    name, ijk_to_ras, to_world = node.GetName(), _ijk_to_ras(node), _to_world(node)
    header = _header(node, database)
    if rule.modality == "chest_xray" and (header is not None or len(values) == 1):
        spacing = (float(np.linalg.norm(ijk_to_ras[:3, 1])), float(np.linalg.norm(ijk_to_ras[:3, 0])))
        image = from_volume_node(values, rule, header=header, spacing=spacing, path=name)
        from MonaiSKD.reading.volume import one_image

        series, affine, picture = one_image(image, ()), ijk_to_ras, image.pixels.shape[1:]
    else:
        if header is not None:
            from MonaiSKD.reading.dicom.suitability import check_suitable

            doubts = check_suitable(header, rule)
        else:
            doubts = ()
        series = from_volume_array(values, to_world @ ijk_to_ras, rule, path=name)
        series = replace(series, warnings=(*doubts, *series.warnings))
        if series.affine is None:
            raise SKDError(name, "its place in space is not known", "Load the volume again", "unsupported")
        affine = np.linalg.inv(to_world) @ series.affine
        picture = series.read(0).pixels.shape[1:]
    image_data = node.GetImageData()
    return PreparedVolume(
        node.GetID(), name, series, affine, to_world, picture, ijk_to_ras, image_data, image_data.GetMTime()
    )


def unchanged(prepared: PreparedVolume, scene: Any) -> Any:
    """The node that was prepared.

    Raises:
        SKDError: it was deleted or changed since.
    """
    from MonaiSKD.errors import SKDError

    node = scene.GetNodeByID(prepared.node_id)
    if node is None:
        raise SKDError(prepared.name, "was deleted while it was classified", "Load it again, then classify it")
    image = node.GetImageData()
    same_place = np.array_equal(_ijk_to_ras(node), prepared.ijk_to_ras)
    if image is not prepared.image or image.GetMTime() != prepared.changed or not same_place:
        raise SKDError(prepared.name, "was changed while it was classified", "Classify it again")
    return node


def dicom_files(node: Any, database: DicomDatabase | None) -> tuple[str, ...]:
    """The files behind a volume that was loaded from the DICOM database; empty where there are none."""
    if node is None or database is None:
        return ()
    uids = (node.GetAttribute(INSTANCE_UIDS) or "").split()
    return tuple(file for file in map(database.fileForInstance, uids) if file)


def study_files(study: str, database: DicomDatabase) -> tuple[str, ...]:
    """The files of a study in the DICOM database."""
    return tuple(file for series in database.seriesForStudy(study) for file in database.filesForSeries(series))


def _values(node: Any) -> np.ndarray:
    """The node's voxels (K, J, I), without a copy."""
    from MonaiSKD.errors import SKDError

    if node is None:
        raise SKDError("volume", "none is chosen", "Load an image, then choose it", "not_found")
    name = node.GetName() or "volume"
    if node.IsA("vtkMRMLSegmentationNode") or node.IsA("vtkMRMLLabelMapVolumeNode"):
        raise SKDError(name, "is a segmentation, not an image", _CHOOSE, "not_an_image")
    if not node.IsA("vtkMRMLScalarVolumeNode"):
        raise SKDError(name, f"is no volume ({node.GetNodeTagName()})", _CHOOSE, "not_an_image")
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
        raise SKDError(name, "holds no voxels", "Load the image again", "damaged")
    components = image.GetNumberOfScalarComponents()
    values = slicer.util.arrayFromVolume(node)
    if components == 1:
        return values
    if node.IsA("vtkMRMLDiffusionWeightedVolumeNode") or components > 4:
        raise SKDError(
            name, f"holds {components} values a voxel (a series in time, or diffusion)", _CHOOSE, "unsupported"
        )
    colours = values[..., : 3 if components > 2 else 1]
    if not (colours == colours[..., :1]).all():
        remedy = "Convert it with the module 'Vector to Scalar Volume', or choose a grey image"
        raise SKDError(name, "is a colour image", remedy, "unsupported")
    return values[..., 0]  # a grey picture saved in colours


def _header(node: Any, database: DicomDatabase | None) -> Any:
    """The DICOM header of the node's first file; None where it was not loaded from the database."""
    files = dicom_files(node, database)
    if not files:
        return None
    from MonaiSKD.reading.dicom.dataset import open_dataset

    return open_dataset(files[0], pixels=False)


def _ijk_to_ras(node: Any) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def _to_world(node: Any) -> np.ndarray:
    """The node's linear transform to the world; the identity where it has none, or one that bends."""
    parent = node.GetParentTransformNode()
    matrix = vtk.vtkMatrix4x4()
    if parent is not None and parent.IsTransformToWorldLinear():
        parent.GetMatrixTransformToWorld(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)
