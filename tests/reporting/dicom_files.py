"""Small DICOM files, and results on them; for the tests of the DICOM reports."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from dicom_writing import save_whole
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    generate_uid,
)

from MonaiSKD.reading.image import Instance
from MonaiSKD.runtime.result import ModelIdentity, Result, Slices

MODEL = ModelIdentity("lung_ct", "0.1.0", "0123456789abcdef" * 4)
NAME = "Yamada^Tarou=山田^太郎=やまだ^たろう"


def base(sop_class: str, study: str, series: str, number: int) -> Dataset:
    """An image of a patient with a Japanese name, in the encoding that Japanese hospitals use."""
    image = Dataset()
    image.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    image.SOPClassUID, image.SOPInstanceUID = sop_class, generate_uid()
    image.StudyInstanceUID, image.SeriesInstanceUID = study, series
    image.PatientName, image.PatientID, image.PatientBirthDate, image.PatientSex = NAME, "TEST-1", "19500101", "M"
    image.StudyDate, image.StudyTime, image.AccessionNumber, image.StudyID = "20200102", "101112", "A1", "S1"
    image.ReferringPhysicianName, image.Manufacturer, image.Laterality = "Doctor^Test", "Phantom", ""
    image.SeriesNumber, image.InstanceNumber = 3, number
    image.SamplesPerPixel, image.PhotometricInterpretation, image.PixelRepresentation = 1, "MONOCHROME2", 0
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 12, 11
    return image


def save(image: Dataset, path: Path) -> str:
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(parents=True, exist_ok=True)
    save_whole(image, path)
    return str(path)


def ct_series(
    folder: Path, study: str, count: int = 4, orientation=(1, 0, 0, 0, 1, 0), **changes: object
) -> tuple[Instance, ...]:
    """A CT series of 12 x 10 pixels; `changes` are attributes, None removes one."""
    series, frame_of_reference = generate_uid(), generate_uid()
    instances = []
    for index in range(count):
        image = base(CTImageStorage, study, series, index + 1)
        image.Modality, image.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        image.Rows, image.Columns = 12, 10
        image.FrameOfReferenceUID, image.PositionReferenceIndicator = frame_of_reference, ""
        image.ImagePositionPatient, image.ImageOrientationPatient = [-5, -6, 5 * index], list(orientation)
        image.PixelSpacing, image.SliceThickness = [0.75, 0.5], 5
        image.PatientPosition = "HFS"
        image.RescaleIntercept, image.RescaleSlope, image.KVP, image.AcquisitionNumber = -1024, 1, 120, 1
        image.PixelData = np.full((12, 10), 7777 % 4096, np.uint16).tobytes()
        for keyword, value in changes.items():
            if value is None:
                delattr(image, keyword)
            else:
                setattr(image, keyword, value)
        instances.append(Instance(save(image, folder / f"{series[-6:]}_{index}.dcm")))
    return tuple(instances)


def radiograph(folder: Path, study: str) -> tuple[Instance, ...]:
    image = base(DigitalXRayImageStorageForPresentation, study, generate_uid(), 1)
    image.Modality, image.ImageType, image.SeriesNumber = "DX", ["ORIGINAL", "PRIMARY"], 1
    image.Rows, image.Columns, image.ImagerPixelSpacing = 16, 14, [0.2, 0.2]
    image.PatientOrientation, image.PresentationIntentType = ["L", "F"], "FOR PRESENTATION"
    image.PixelIntensityRelationship, image.PixelIntensityRelationshipSign = "LOG", -1
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = 0, 1, "US"
    image.PresentationLUTShape, image.LossyImageCompression, image.BurnedInAnnotation = "IDENTITY", "00", "NO"
    image.WindowCenter, image.WindowWidth = 2048, 4096
    image.DetectorType, image.AcquisitionContextSequence, image.ImageLaterality = "", [], "U"
    chest = Dataset()
    chest.CodeValue, chest.CodingSchemeDesignator, chest.CodeMeaning = "51185008", "SCT", "Chest"
    image.AnatomicRegionSequence = [chest]
    del image.Laterality  # Image Laterality stands for it
    image.PixelData = np.zeros((16, 14), np.uint16).tobytes()
    return (Instance(save(image, folder / "dx.dcm")),)


def enhanced_mr(folder: Path, study: str, frames: int = 5) -> tuple[Instance, ...]:
    """One multi-frame file whose geometry stands in the functional groups; without what else the standard wants."""
    image = base(EnhancedMRImageStorage, study, generate_uid(), 1)
    image.Modality, image.ImageType = "MR", ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    image.Rows, image.Columns, image.NumberOfFrames = 12, 10, frames
    image.FrameOfReferenceUID = generate_uid()
    measures, orientation, shared = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.75, 0.5], 5
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    image.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for index in range(frames):
        position, group = Dataset(), Dataset()
        position.ImagePositionPatient = [-5, -6, 5 * index]
        group.PlanePositionSequence = [position]
        groups.append(group)
    image.PerFrameFunctionalGroupsSequence = groups
    image.PixelData = np.zeros((frames, 12, 10), np.uint16).tobytes()
    path = save(image, folder / "enhanced.dcm")
    return tuple(Instance(path, index + 1) for index in range(frames))


def result(instances: tuple[Instance, ...], key: tuple[int, ...] = (2, 0), **changes: object) -> Result:
    count = len(instances)
    slices = Slices(np.zeros((count, 2), np.float32), np.zeros(count, np.float32), np.ones(count, bool), key)
    values: dict = {
        "input": "/home/somebody/secret-folder/case.dcm",
        "label": "covid",
        "probabilities": {"covid": 0.87654321, "noncovid": 0.12345679},
        "thresholds": {"covid": 0.5, "noncovid": 0.61},
        "atypicality": 0.25,
        "atypicality_threshold": 1.0,
        "model": MODEL,
        "milliseconds": 12.0,
        "slices": slices if count > 1 else None,
        "instances": instances,
    }
    return Result(**{**values, **changes})


def validator_errors(path: Path) -> list[str]:
    """The lines of dciodvfy that begin with Error."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian: dicom3tools) is not installed")
    done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


def inconsistencies(paths: list[Path | str]) -> list[str]:
    """The values that dcentvfy finds different between files that share a patient, a study or a series."""
    if shutil.which("dcentvfy") is None:
        pytest.skip("dcentvfy (Debian: dicom3tools) is not installed")
    done = subprocess.run(["dcentvfy", *map(str, paths)], capture_output=True, text=True, check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
