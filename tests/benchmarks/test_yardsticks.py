"""The yardsticks stand in one table with calibrated students, so they are calibrated and sampled as those are."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import yardsticks
from accuracy.readouts import labels_of, readout
from PIL import Image

from MonaiSKD.bundle import find_bundle
from MonaiSKD.datasets import DataList, load_datalist
from MonaiSKD.evaluation import calibrate, classification_metrics

CLASSES = find_bundle("brain_mri").config["class_names"]
COUNTS = {"train": 4, "val": 3, "test": 4}


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    """Noise whose brightness hints at the class; two test images to a patient."""
    folder, generator = tmp_path_factory.mktemp("noise"), np.random.default_rng(0)
    lines = ["path,label,split,patient_id"]
    for split, count in COUNTS.items():
        for number, label in enumerate(CLASSES):
            for image in range(count):
                name = f"{split}_{label}_{image}.png"
                pixels = generator.normal(60 + 25 * number, 60, (32, 32)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / name)
                lines.append(f"{name},{label},{split},{split} {label} {image // 2}")
    (folder / "manifest.csv").write_text("\n".join(lines))
    return folder / "manifest.csv"


@pytest.fixture(scope="module")
def data(table) -> DataList:
    return load_datalist(table, class_names=CLASSES)


def test_a_regression_is_calibrated_on_validation_and_sampled_by_patient(data):
    generator = np.random.default_rng(1)
    # Many features of noise: what the regression learns by heart makes it too sure of itself.
    features = {
        split: np.eye(len(CLASSES))[labels] + generator.normal(0, 1, (len(labels), len(CLASSES)))
        for split, labels in labels_of(data).items()
    }
    predictions = readout(features, labels_of(data))
    logits, labels = predictions["test"]
    calibrated = calibrate(*predictions["val"], 0.9).probabilities(logits)
    found = yardsticks.regression(features, data)
    patients = [case.patient_id for case in data.of("test")]
    assert found == classification_metrics(calibrated, labels.numpy(), CLASSES, groups=patients)
    raw = classification_metrics(logits.softmax(1).numpy(), labels.numpy(), CLASSES)
    assert found["ece"]["value"] != pytest.approx(raw["ece"]["value"], abs=1e-4)
    assert found["accuracy"]["value"] == pytest.approx(raw["accuracy"]["value"])


def test_the_frozen_teacher_of_the_bundle_has_a_row_without_a_file_of_weights(table, tmp_path):
    options = Namespace(teacher=None, cache=tmp_path)
    rows = yardsticks.yardsticks(find_bundle("brain_mri"), table, options)
    assert [row[:3] for row in rows] == [
        ["brain_mri (16)", "pixels 24 x 24 + logistic regression", ""],
        ["brain_mri (16)", "frozen tf_efficientnet_lite2 (its own teacher) + logistic regression", "4.81 M"],
    ]
    assert (tmp_path / "tf_efficientnet_lite2_brain_mri.npz").is_file()
