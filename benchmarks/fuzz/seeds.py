"""The files that are mutated: small ones of every kind that is read, made here, and the real ones of folders."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import UID

_LARGEST_SEED = 12 * 2**20


class Seed(NamedTuple):
    """A file to mutate: its name, its bytes, and how often it is taken."""

    name: str
    content: bytes
    weight: float


def dicom(modality: str = "CT", syntax: str = "1.2.840.10008.1.2.1", size: int = 24, **tags: Any) -> bytes:
    stored = (np.indices((size, size)).sum(0) * 20 + (0 if modality == "CT" else 1)).astype(np.uint16)
    dataset = Dataset()
    dataset.SOPClassUID = {"CT": "1.2.840.10008.5.1.4.1.1.2", "MR": "1.2.840.10008.5.1.4.1.1.4"}.get(
        modality, "1.2.840.10008.5.1.4.1.1.1"
    )
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID, dataset.StudyInstanceUID = "1.2.3.4", "1.2.3", "1.2"
    dataset.Modality, dataset.PatientID, dataset.PatientName = modality, "17", "Yamada^Tarou"
    dataset.BodyPartExamined = "BRAIN" if modality == "MR" else "CHEST"
    dataset.Rows = dataset.Columns = size
    dataset.SamplesPerPixel, dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 16, 12, 11
    dataset.PixelRepresentation, dataset.PhotometricInterpretation = 0, "MONOCHROME2"
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    dataset.WindowCenter, dataset.WindowWidth = [40, 300], [400, 1500]
    dataset.PixelSpacing, dataset.SliceThickness = [0.7, 0.7], 1
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, 5], [1, 0, 0, 0, 1, 0]
    lut = Dataset()
    lut.LUTDescriptor, lut.LUTData = [16, 0, 8], bytes(range(16)) * 2
    lut["LUTDescriptor"].VR = "US"
    lut["LUTData"].VR = "OW"
    if modality == "CR":
        dataset.VOILUTSequence = [lut]
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    frames = int(tags.get("NumberOfFrames", 1))
    dataset.PixelData = stored.tobytes() * frames
    dataset["PixelData"].VR = "OW"
    if syntax.startswith("1.2.840.10008.1.2.4") or syntax == "1.2.840.10008.1.2.5":
        dataset.PixelData = encapsulate([_compressed(stored, syntax, dataset)] * frames)
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    written = io.BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    return written.getvalue()


def _compressed(stored: np.ndarray, syntax: str, dataset: Any) -> bytes:
    if syntax.endswith(".50"):
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit = 7
        written = io.BytesIO()
        Image.fromarray((stored >> 4).astype(np.uint8)).save(written, "JPEG")
        return written.getvalue()
    options: dict[str, Any] = {
        **{"rows": stored.shape[0], "columns": stored.shape[1], "samples_per_pixel": 1, "number_of_frames": 1},
        **{"bits_allocated": 16, "bits_stored": 12, "pixel_representation": 0},
        "photometric_interpretation": "MONOCHROME2",
    }
    if syntax.endswith(".91"):
        options["j2k_cr"] = [2]
    return bytes(get_encoder(syntax).encode(stored, **options))


def nifti(shape: tuple[int, ...] = (10, 9, 8), kind: str = "i2", offset: int = -1000, two: bool = False) -> bytes:
    values = (np.arange(int(np.prod(shape))).reshape(shape) % 1500 + offset).astype(kind)
    image = (nibabel.Nifti2Image if two else nibabel.Nifti1Image)(values, np.diag([2, 2, 3, 1]))
    image.header.set_xyzt_units("mm")
    return bytes(image.to_bytes())


def raster(kind: str, mode: str = "L", **options: Any) -> bytes:
    values = (np.indices((40, 50)).sum(0) * 2).astype(np.uint8)
    picture = Image.fromarray(values.astype(np.uint16) * 200) if mode == "I;16" else Image.fromarray(values)
    written = io.BytesIO()
    (picture if mode in ("L", "I;16") else picture.convert(mode)).save(written, kind, **options)
    return written.getvalue()


def metaimage() -> bytes:
    head = (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = False\n"
        "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\nElementSpacing = 2 2 3\nDimSize = 9 8 7\n"
        "ElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    )
    return head.encode() + (np.arange(504) * 3 - 1000).astype("<i2").tobytes()


def nrrd(encoding: str) -> bytes:
    head = (
        "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 9 8 7\n"
        "space directions: (2,0,0) (0,2,0) (0,0,3)\nkinds: domain domain domain\nendian: little\n"
        f"encoding: {encoding}\nspace origin: (0,0,0)\n\n"
    )
    values = (np.arange(504) * 3 - 1000).astype("<i2").tobytes()
    return head.encode() + (gzip.compress(values, mtime=0) if encoding == "gzip" else values)


def handmade() -> list[Seed]:
    """Small files of every kind that is read."""
    made: dict[str, bytes] = {
        **{f"{modality.lower()}.dcm": dicom(modality) for modality in ("CT", "MR", "CR")},
        "multi.dcm": dicom("MR", NumberOfFrames=4),
        "implicit.dcm": dicom("CT", "1.2.840.10008.1.2"),
        "deflated.dcm": dicom("CT", "1.2.840.10008.1.2.1.99"),
        **{"ct.nii": nifti(), "mr.nii.gz": gzip.compress(nifti(offset=0), mtime=0), "two.nii": nifti(two=True)},
        **{"slice.nii": nifti((20, 21, 1)), "float.nii": nifti(kind="f4"), "four.nii": nifti((5, 5, 5, 2))},
        **{"grey.png": raster("PNG"), "deep.png": raster("PNG", "I;16"), "colour.png": raster("PNG", "RGBA")},
        **{"palette.png": raster("PNG", "P"), "grey.jpg": raster("JPEG"), "colour.jpg": raster("JPEG", "RGB")},
        **{"progressive.jpg": raster("JPEG", progressive=True), "bits.bmp": raster("BMP", "1")},
        **{"grey.bmp": raster("BMP"), "grey.tif": raster("TIFF"), "deep.tif": raster("TIFF", "I;16")},
        **{"lzw.tif": raster("TIFF", compression="tiff_lzw"), "jpeg.tif": raster("TIFF", compression="jpeg")},
        **{"deflate.tif": raster("TIFF", "RGB", compression="tiff_deflate")},
        **{"volume.mha": metaimage(), "volume.nrrd": nrrd("raw"), "packed.nrrd": nrrd("gzip")},
    }
    for name, end in (
        ("jpeg", "4.50"),
        ("jls", "4.80"),
        ("near", "4.81"),
        ("j2k", "4.90"),
        ("lossy", "4.91"),
        ("rle", "5"),
    ):
        for modality in ("CT", "MR"):
            made[f"{name}_{modality.lower()}.dcm"] = dicom(modality, f"1.2.840.10008.1.2.{end}", 40)
    made["multi_rle.dcm"] = dicom("MR", "1.2.840.10008.1.2.5", NumberOfFrames=3)
    return [Seed(name, content, 4.0) for name, content in made.items()]


def seeds_of(folders: list[Path]) -> list[Seed]:
    """The handmade files and the real ones; large ones are taken rarely."""
    found = handmade()
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and file.suffix not in (".md", ".csv") and file.stat().st_size <= _LARGEST_SEED:
                size = file.stat().st_size
                weight = 1.0 / (1.0 + (size / 100_000) ** 1.5)
                if file.name.endswith((".nii.gz", ".nrrd", ".mha")):
                    weight /= 4  # small files of large volumes
                found.append(Seed(file.name, file.read_bytes(), weight))
    return found
