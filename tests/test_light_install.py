"""What the base install does without: the training half and the large packages."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from dicom_writing import made, write
from PIL import Image
from tinymodel import CLASSES, write_tiny_model

# Modules, and the names they are installed by.
HEAVY = ["torch", "torchvision", "monai", "ignite", "timm", "sklearn", "scipy", "matplotlib", "SimpleITK", "onnx"]
DISTRIBUTIONS = {*map(str.lower, HEAVY), "pytorch-ignite", "scikit-learn", "scikit-image"}
PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
CODE = """
import json, sys
sys.modules["scipy"] = None  # nibabel looks whether it is there; to everyone it is absent
from MonaiSKD import Classifier
from MonaiSKD.reporting.json_lines import to_json
classifier = Classifier(sys.argv[1])
answers = [json.loads(to_json(classifier(path))) for path in sys.argv[2:]]
print(json.dumps([answers, sorted({name.partition(".")[0] for name, module in sys.modules.items() if module})]))
"""


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """A DICOM radiograph, a PNG and a one-slice NIfTI file of the same ramp."""
    ramp = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    write(tmp_path / "a.dcm", made(ramp, "DX", BitsStored=12))
    Image.fromarray((ramp // 16).astype(np.uint8)).save(tmp_path / "a.png")
    nibabel.save(nibabel.Nifti1Image(ramp[..., None].astype(np.int16), np.eye(4)), tmp_path / "a.nii.gz")
    return [tmp_path / name for name in ("a.dcm", "a.png", "a.nii.gz")]


def test_classifying_imports_nothing_heavy(tmp_path, files):
    model = write_tiny_model(tmp_path / "model.onnx")
    command = [sys.executable, "-c", CODE, str(model), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answers, modules = json.loads(done.stdout)
    assert len(answers) == 3
    assert all(answer["label"] in CLASSES for answer in answers)
    assert "onnxruntime" in modules
    assert not set(HEAVY) & set(modules)


def test_the_base_install_names_nothing_heavy():
    stated = re.search(r"^dependencies = \[\n(.*?)^\]", PYPROJECT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert stated is not None
    names = {name.lower() for name in re.findall(r'^\s*"([\w.-]+)', stated[1], re.MULTILINE)}
    assert {"numpy", "onnxruntime", "pydicom"} <= names
    assert not names & DISTRIBUTIONS
