"""One real MONAI Label server for all tests, and images of every kind."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_writing import made, write
from tinymodel import write_tiny_model

ROOT = Path(__file__).parents[2]
HAS_SERVER = importlib.util.find_spec("monailabel") is not None
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "SlicerExtension" / "SKDClassifier")]
if not HAS_SERVER:
    # They import it, or the client of the server; the others need no MONAI Label.
    collect_ignore_glob = ["test_label_server_*.py"]


def write_dicom(path: Path, values: np.ndarray, *, ct: bool = False, index: int = 0, uids: Any = None) -> Path:
    """A radiograph of 16 bits, or one slice of a CT series, with a patient's name in it."""
    from pydicom.uid import generate_uid

    study, series = uids or (generate_uid(), generate_uid())
    elements: dict[str, Any] = {
        **{"StudyInstanceUID": study, "SeriesInstanceUID": series, "FrameOfReferenceUID": study},
        **{"PatientName": "Geheim^Hans", "PatientID": "4711-geheim"},
        **{"InstanceNumber": index + 1, "PixelSpacing": [2.0, 2.0]},
    }
    if not ct:
        return write(path, made(values.astype(np.uint16), "DX", **elements))
    place = {"ImagePositionPatient": [0, 0, 5.0 * index], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
    scanner = {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "SliceThickness": 5}
    scanner |= {"RescaleSlope": 1, "RescaleIntercept": 0}
    return write(path, made(values.astype(np.int16), "CT", **elements, **place, **scanner))


@pytest.fixture(scope="session")
def images(tmp_path_factory) -> Path:
    """a.png, d.dcm (radiograph), v.nii.gz (CT), series/ (the same as DICOM), p.nii.gz (a CT phantom), no.txt."""
    import nibabel
    from pydicom.uid import generate_uid

    from MonaiSKD.datasets.phantoms import make_phantom, write_phantoms

    folder = tmp_path_factory.mktemp("images")
    write_phantoms(folder / "chest", "chest_xray", per_class=(1, 0, 0), size=96)
    shutil.copy(sorted((folder / "chest").glob("train/*/*.png"))[0], folder / "a.png")
    write_phantoms(folder / "lung", "lung_ct", per_class=(1, 0, 0), size=96)
    shutil.copy(sorted((folder / "lung").glob("train/*/*.nii.gz"))[0], folder / "p.nii.gz")
    chest = make_phantom("chest_xray", "normal", np.random.default_rng(1), size=96).pixels
    write_dicom(folder / "d.dcm", chest * 4000)
    (folder / "series").mkdir()
    uids = (generate_uid(), generate_uid())
    volume = []
    for index in range(6):
        rng = np.random.default_rng(index)
        volume.append(make_phantom("lung_ct", "nodule" if index == 3 else "normal", rng, size=96).pixels.round())
        write_dicom(folder / "series" / f"{index}.dcm", volume[-1], ct=True, index=index, uids=uids)
    stored = nibabel.Nifti1Image(np.stack(volume).astype(np.int16).transpose(2, 1, 0), np.diag([-2.0, -2.0, 5.0, 1.0]))
    nibabel.save(stored, folder / "v.nii.gz")
    (folder / "no.txt").write_text("no image")
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """A model file whose every answer can be computed by hand."""
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "tiny.onnx")


@pytest.fixture(scope="session")
def studies(tmp_path_factory, images) -> Path:
    """60 phantoms of a brain, CLASS_NUMBER.png, and images/'s DICOM file and series."""
    from MonaiSKD.datasets.phantoms import write_phantoms

    drawn = tmp_path_factory.mktemp("drawn")
    write_phantoms(drawn, "brain_mri", per_class=(20, 0, 0), size=64, seed=5)
    folder = tmp_path_factory.mktemp("studies")
    for path in drawn.glob("train/*/*.png"):
        shutil.copy(path, folder)
    shutil.copy(images / "d.dcm", folder)
    shutil.copytree(images / "series", folder / "series")
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory, studies, tiny) -> Iterator[Any]:
    """The server, with all bundles and the tiny model."""
    if not HAS_SERVER:
        pytest.skip("monailabel is not installed")
    from label_server import running

    with running(tmp_path_factory.mktemp("server"), studies, f"all,{tiny}", max_upload_mb="8") as rest:
        yield rest
