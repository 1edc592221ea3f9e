"""Small DICOM files, and results on them; for the tests of the DICOM reports."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from dicom_writing import add_pixels, changed, item, made, write
from pydicom import Dataset
from pydicom.uid import EnhancedMRImageStorage, generate_uid

from MonaiSKD.reading.image import Instance
from MonaiSKD.runtime.result import ModelIdentity, Result, Slices

MODEL = ModelIdentity("lung_ct", "0.1.0", "0123456789abcdef" * 4)
NAME = "Yamada^Tarou=山田^太郎=やまだ^たろう"


def base(modality: str, study: str, series: str, number: int) -> Dataset:
    """An image of a patient with a Japanese name, in the encoding that Japanese hospitals use."""
    patient = {"PatientName": NAME, "PatientID": "TEST-1", "PatientBirthDate": "19500101", "PatientSex": "M"}
    about = {"StudyDate": "20200102", "StudyTime": "101112", "AccessionNumber": "A1", "StudyID": "S1"}
    about |= {"StudyInstanceUID": study, "SeriesInstanceUID": series, "SeriesNumber": 3, "InstanceNumber": number}
    about |= {"ReferringPhysicianName": "Doctor^Test", "Manufacturer": "Phantom", "Laterality": ""}
    # A part of the body, where an image has one, stands in a sequence.
    kind = {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "BodyPartExamined": None, "BitsStored": 12}
    return made(None, modality, **kind, **patient, **about)


def ct_series(
    folder: Path, study: str, count: int = 4, orientation=(1, 0, 0, 0, 1, 0), **changes: object
) -> tuple[Instance, ...]:
    """A CT series of 12 x 10 pixels; `changes` are attributes, None removes one."""
    series, frame_of_reference = generate_uid(), generate_uid()
    instances = []
    for index in range(count):
        image = base("CT", study, series, index + 1)
        image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        image.FrameOfReferenceUID, image.PositionReferenceIndicator = frame_of_reference, ""
        image.ImagePositionPatient, image.ImageOrientationPatient = [-5, -6, 5 * index], list(orientation)
        image.PixelSpacing, image.SliceThickness = [0.75, 0.5], 5
        image.PatientPosition = "HFS"
        image.RescaleIntercept, image.RescaleSlope, image.KVP, image.AcquisitionNumber = -1024, 1, 120, 1
        add_pixels(image, np.full((12, 10), 7777 % 4096, np.uint16))
        instances.append(Instance(str(write(folder / f"{series[-6:]}_{index}.dcm", changed(image, changes)))))
    return tuple(instances)


def radiograph(folder: Path, study: str) -> tuple[Instance, ...]:
    image = base("DX", study, generate_uid(), 1)
    image.ImageType, image.SeriesNumber = ["ORIGINAL", "PRIMARY"], 1
    image.ImagerPixelSpacing = [0.2, 0.2]
    image.PatientOrientation, image.PresentationIntentType = ["L", "F"], "FOR PRESENTATION"
    image.PixelIntensityRelationship, image.PixelIntensityRelationshipSign = "LOG", -1
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = 0, 1, "US"
    image.PresentationLUTShape, image.LossyImageCompression, image.BurnedInAnnotation = "IDENTITY", "00", "NO"
    image.WindowCenter, image.WindowWidth = 2048, 4096
    image.DetectorType, image.AcquisitionContextSequence, image.ImageLaterality = "", [], "U"
    chest = item(CodeValue="51185008", CodingSchemeDesignator="SCT", CodeMeaning="Chest")
    image.AnatomicRegionSequence = [chest]
    del image.Laterality  # Image Laterality stands for it
    add_pixels(image, np.zeros((16, 14), np.uint16))
    return (Instance(str(write(folder / "dx.dcm", image))),)


def enhanced_mr(folder: Path, study: str, frames: int = 5) -> tuple[Instance, ...]:
    """One multi-frame file whose geometry stands in the functional groups; without what else the standard wants."""
    image = base("MR", study, generate_uid(), 1)
    image.SOPClassUID = EnhancedMRImageStorage
    image.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    image.FrameOfReferenceUID = generate_uid()
    measures = item(PixelSpacing=[0.75, 0.5], SliceThickness=5)
    orientation = item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    shared = item(PixelMeasuresSequence=[measures], PlaneOrientationSequence=[orientation])
    image.SharedFunctionalGroupsSequence = [shared]
    positions = [item(ImagePositionPatient=[-5, -6, 5 * index]) for index in range(frames)]
    image.PerFrameFunctionalGroupsSequence = [item(PlanePositionSequence=[position]) for position in positions]
    add_pixels(image, np.zeros((frames, 12, 10), np.uint16))
    path = str(write(folder / "enhanced.dcm", image))
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
