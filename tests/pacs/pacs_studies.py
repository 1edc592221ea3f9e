"""Studies with synthetic identities, made from pictures or from nothing."""

from __future__ import annotations

import struct
import zlib
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from dicom_writing import SOP_CLASSES, changed, made
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import generate_uid

DX, CT = SOP_CLASSES["DX"], SOP_CLASSES["CT"]
DEFLATED = "1.2.840.10008.1.2.1.99"
# Must never be seen outside of DICOM objects.
NAME = "Quillfeather^Synthia"


def grey(level: float, side: int = 64) -> npt.NDArray[np.uint16]:
    """A picture of 12 bits with that mean brightness, with both black and white in it."""
    picture = np.full((side, side), round(4095 * level), np.uint16)
    picture[0, 0], picture[0, 1] = 0, 4095
    return picture


def radiograph(pixels: npt.NDArray[Any], study: str | None = None, **changes: Any) -> Dataset:
    """A DX of the chest; `changes` are attributes, None removes one."""
    image = _image("DX", pixels, study)
    image.SeriesDescription = "Thorax pa"
    image.ImageType, image.PatientOrientation = ["ORIGINAL", "PRIMARY"], ["L", "F"]
    image.PresentationIntentType, image.PresentationLUTShape = "FOR PRESENTATION", "IDENTITY"
    image.ImagerPixelSpacing, image.ImageLaterality = [0.4, 0.4], "U"
    image.PixelIntensityRelationship, image.PixelIntensityRelationshipSign = "LOG", -1
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = 0, 1, "US"
    image.LossyImageCompression, image.BurnedInAnnotation, image.DetectorType = "00", "NO", ""
    image.WindowCenter, image.WindowWidth = 2048, 4096
    return changed(image, changes)


def volume(pixels: npt.NDArray[Any], modality: str = "CT", study: str | None = None, **changes: Any) -> list[Dataset]:
    """A series of axial slices (S, H, W), stored from 0 to 4095."""
    first = _image(modality, pixels[0], study)
    frame_of_reference = generate_uid()
    slices = []
    for number, plane in enumerate(pixels):
        image = _image(modality, plane, first.StudyInstanceUID)
        image.SeriesInstanceUID, image.InstanceNumber = first.SeriesInstanceUID, number + 1
        image.ImageType, image.FrameOfReferenceUID = ["ORIGINAL", "PRIMARY", "AXIAL"], frame_of_reference
        image.ImagePositionPatient, image.ImageOrientationPatient = [-80, -80, 5 * number], [1, 0, 0, 0, 1, 0]
        image.PixelSpacing, image.SliceThickness, image.PatientPosition = [0.7, 0.7], 5, "HFS"
        if modality == "CT":
            image.RescaleIntercept, image.RescaleSlope, image.KVP = -1024, 1, 120
        slices.append(changed(image, changes))
    return slices


def _image(modality: str, pixels: npt.NDArray[Any], study: str | None) -> Dataset:
    patient = {"PatientName": NAME, "PatientID": "SYN-1", "PatientBirthDate": "19700101", "PatientSex": "O"}
    about = {"StudyDate": f"{date.today():%Y%m%d}", "StudyTime": "1200", "AccessionNumber": "A1", "StudyID": "1"}
    about |= {"StudyInstanceUID": study or generate_uid(), "SeriesInstanceUID": generate_uid()}
    about |= {"ReferringPhysicianName": "", "Manufacturer": "Phantom", "SeriesNumber": 1, "InstanceNumber": 1}
    return made(pixels.astype(np.uint16), modality, BitsStored=12, **patient, **about)


def content(image: Dataset) -> bytes:
    """A data set as a DICOM file."""
    buffer = BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def bomb(image: Dataset, size: int) -> bytes:
    """A data set, deflated, whose pixels are so many zeros."""
    bare = Dataset({tag: element for tag, element in image.items() if tag != 0x7FE00010})
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    pieces = [packer.compress(encoded(bare) + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, size))]
    pieces += [packer.compress(bytes(2**24)) for _ in range(size // 2**24)]
    return b"".join([*pieces, packer.flush()])


def encoded(image: Dataset) -> bytes:
    """A data set as explicit little endian, without preamble and file meta information."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, image)
    return buffer.getvalue()


def deflated_file(image: Dataset, data: bytes) -> bytes:
    """A DICOM file with the meta information of an image, and a deflated data set."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    meta.TransferSyntaxUID, meta.ImplementationClassUID = DEFLATED, "1.2.3"
    buffer = DicomBytesIO()
    write_file_meta_info(buffer, meta)
    return bytes(128) + b"DICM" + buffer.getvalue() + data


def write(image: Dataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content(image))
    return path


def whole(path: Path) -> Dataset | None:
    """A stored file with what a PACS needs, and with a date and an identity of its own; None where it is no object."""
    image = pydicom.dcmread(path, force=True)
    if "SOPClassUID" not in image or "DirectoryRecordSequence" in image:
        return None
    if "TransferSyntaxUID" not in image.file_meta:
        image.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
    image.PatientName, image.PatientID = NAME, "SYN-2"
    image.StudyDate = f"{date.today():%Y%m%d}"
    return image
