from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from MonaiSKD.datasets import load_datalist
from MonaiSKD.datasets.phantoms import PHANTOM_CLASSES, Phantom, make_phantom, write_phantoms, write_sample
from MonaiSKD.errors import SKDError
from MonaiSKD.files import read_json
from MonaiSKD.reading import RULES, Modality, Source, canonicalise, read_image, read_series

SIZE = 96
HEALTHY = {"chest_xray": "normal", "lung_ct": "normal", "brain_mri": "no_tumor"}
LESIONS = [(kind, label) for kind, names in PHANTOM_CLASSES.items() for label in names if label != HEALTHY[kind]]


def draw(modality: Modality, label: str, number: int) -> Phantom:
    return make_phantom(modality, label, np.random.default_rng([5, number]), size=SIZE)


def test_every_modality_has_phantoms_with_and_without_a_lesion() -> None:
    assert PHANTOM_CLASSES == {
        "chest_xray": ("normal", "opacity"),
        "lung_ct": ("normal", "ground_glass", "nodule"),
        "brain_mri": ("no_tumor", "ring", "tumor"),
    }
    for modality, names in PHANTOM_CLASSES.items():
        for label in names:
            phantom = draw(modality, label, 0)
            assert (phantom.pixels.shape, phantom.pixels.dtype, phantom.label) == ((SIZE, SIZE), np.float32, label)
            assert (phantom.box is None) == (label == HEALTHY[modality])
            assert phantom.spacing[0] == phantom.spacing[1] > 0


@pytest.mark.parametrize("modality", PHANTOM_CLASSES)
def test_the_same_seed_gives_the_same_phantom_and_another_another(modality: Modality) -> None:
    label = PHANTOM_CLASSES[modality][-1]
    one, again, other = (draw(modality, label, number) for number in (1, 1, 2))
    np.testing.assert_array_equal(one.pixels, again.pixels)
    assert one.box == again.box
    assert np.abs(one.pixels - other.pixels).max() > 0.1


@pytest.mark.parametrize(("modality", "label"), LESIONS)
def test_a_lesion_lies_in_its_box_and_stands_out_from_the_other_side(modality: Modality, label: str) -> None:
    # The rim of a ring is brighter, its inside is not: the brightest tenth of the box counts there.
    level = (lambda pixels: np.quantile(pixels, 0.9)) if label == "ring" else np.mean
    brighter = []
    for number in range(20):
        phantom = draw(modality, label, number)
        assert phantom.box is not None
        top, left, bottom, right = phantom.box
        assert 0 <= top < bottom <= SIZE
        assert 0 <= left < right <= SIZE
        assert (bottom - top) * (right - left) < SIZE**2 / 4
        canonical = canonicalise(phantom.pixels, RULES[modality])[0]
        mirror = canonical[:, ::-1]
        brighter.append(level(canonical[top:bottom, left:right]) - level(mirror[top:bottom, left:right]))
    # Not in every single one: heart and spine are on one side, too.
    assert np.mean(np.array(brighter) > 0) >= 0.7
    assert np.mean(brighter) > 0.04


def test_ct_values_are_hounsfield_units() -> None:
    for label in PHANTOM_CLASSES["lung_ct"]:
        pixels = draw("lung_ct", label, 3).pixels
        assert -1024 <= pixels.min() < -950
        assert 300 < pixels.max() <= 3071
        assert abs(np.median(pixels[:5]) + 1000) < 15  # air above the patient
        lung = pixels[(pixels > -950) & (pixels < -700)]
        assert 0.08 < lung.size / pixels.size < 0.5


def test_the_other_modalities_are_pictures() -> None:
    for modality in ("chest_xray", "brain_mri"):
        for label in PHANTOM_CLASSES[modality]:
            pixels = draw(modality, label, 3).pixels
            assert 0.0 <= pixels.min() < 0.2
            assert 0.7 < pixels.max() <= 1.0


@pytest.mark.parametrize("modality", PHANTOM_CLASSES)
def test_written_phantoms_are_a_data_set_that_is_read_back(modality: Modality, tmp_path: Path) -> None:
    folder = tmp_path / "phantoms"
    write_phantoms(folder, modality, per_class=(2, 1, 1), size=SIZE, seed=4)
    names = PHANTOM_CLASSES[modality]
    data = load_datalist(folder)
    assert data.class_names == tuple(sorted(names))
    assert data.class_counts("train") == dict.fromkeys(sorted(names), 2)
    assert data.class_counts("val") == data.class_counts("test") == dict.fromkeys(sorted(names), 1)
    suffix = ".nii.gz" if modality == "lung_ct" else ".png"
    written = read_json(folder / "phantoms.json")
    assert set(written) == {Path(case.path).relative_to(folder).as_posix() for case in data.cases}
    for split_number, split in enumerate(("train", "val", "test")):
        for class_number, label in enumerate(names):
            name = f"{split}/{label}/{label}_0000{suffix}"
            phantom = make_phantom(
                modality, label, np.random.default_rng([4, split_number, class_number, 0]), size=SIZE
            )
            image = read_image(folder / name, RULES[modality])
            if modality == "lung_ct":
                expected = canonicalise(phantom.pixels.round(), RULES[modality])
                assert image.spacing == pytest.approx(phantom.spacing)
            else:
                expected = (phantom.pixels * 255).round()[None] / 255
                assert image.spacing is None
            np.testing.assert_allclose(image.pixels, expected, atol=1e-6)
            assert written[name] == {
                "label": label,
                "box": phantom.box and list(phantom.box),
                "spacing": list(phantom.spacing),
            }


@pytest.mark.parametrize("modality", ["lung_ct", "brain_mri"])
def test_the_same_seed_writes_the_same_bytes_whatever_the_number(modality: Modality, tmp_path: Path) -> None:
    for name, count, seed in (("one", 1, 0), ("two", 2, 0), ("other", 1, 1)):
        write_phantoms(tmp_path / name, modality, per_class=(count, 0, 1), size=64, seed=seed)
    assert not (tmp_path / "one" / "val").exists()

    def hashes(name: str) -> dict[str, str]:
        return {
            path.relative_to(tmp_path / name).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (tmp_path / name).glob("*/*/*")
        }

    one, two, other = hashes("one"), hashes("two"), hashes("other")
    assert len(one) == 6
    assert one.items() <= two.items()
    assert len(set(two.values())) == 9
    assert not set(one.values()) & set(other.values())


@pytest.mark.parametrize("modality", PHANTOM_CLASSES)
def test_thumbnails_and_a_linear_model_do_not_solve_them(modality: Modality) -> None:
    names = PHANTOM_CLASSES[modality]
    thumbnails, labels = [], []
    for number in range(60):
        for label in names:
            canonical = canonicalise(
                make_phantom(modality, label, np.random.default_rng([6, number, len(label)]), size=SIZE).pixels,
                RULES[modality],
            )
            thumbnails.append(canonical.reshape(24, 4, 24, 4).mean((1, 3)).ravel())
            labels.append(label)
    seen = 40 * len(names)
    model = LogisticRegression(max_iter=300).fit(thumbnails[:seen], labels[:seen])
    assert model.score(thumbnails[seen:], labels[seen:]) < 0.9


def test_a_folder_that_holds_splits_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    with pytest.raises(SKDError, match="exists already") as caught:
        write_phantoms(tmp_path, "brain_mri", per_class=(1, 0, 0), size=64)
    assert caught.value.thing == str(tmp_path / "val")
    assert [path.name for path in tmp_path.iterdir()] == ["val"]


def test_unknown_classes_and_tiny_sizes_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="not 'nodule'"):
        make_phantom("brain_mri", "nodule", np.random.default_rng(0))
    with pytest.raises(ValueError, match="at least 64 pixels"):
        make_phantom("brain_mri", "ring", np.random.default_rng(0), size=63)


@pytest.mark.parametrize(("modality", "slices"), [("chest_xray", 1), ("lung_ct", 32), ("brain_mri", 32)])
def test_a_sample_is_read_as_an_image_of_its_modality(tmp_path, modality, slices):
    path = write_sample(tmp_path / "sample.nii.gz", modality, size=64)
    series = read_series(Source(str(path), (str(path),)), RULES[modality])
    assert len(series) == slices
    assert series.read(slices // 2).pixels.shape == (1, 64, 64)
    assert path.read_bytes() == write_sample(tmp_path / "again.nii.gz", modality, size=64).read_bytes()


def test_a_sample_is_drawn_without_the_training_half(tmp_path):
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('torch', 'monai', 'sklearn', 'scipy', 'imagehash')))\n"
        "from MonaiSKD.datasets.phantoms import write_sample\n"
        f"write_sample({str(tmp_path / 'sample.nii.gz')!r}, 'brain_mri', size=64)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert nibabel.load(tmp_path / "sample.nii.gz").shape == (64, 64, 32)


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"size": 63}, "none can be drawn with size 63"),
        ({"seed": -1}, "none can be drawn with size 192 and seed -1"),
        ({"per_class": (0, 0, 0)}, "0, 0, 0 for train, val and test"),
        ({"per_class": (2, -1, 0)}, "2, -1, 0 for train, val and test"),
    ],
)
def test_phantoms_that_cannot_be_drawn_are_refused_and_nothing_is_written(
    tmp_path: Path, options: dict[str, Any], cause: str
) -> None:
    with pytest.raises(SKDError, match=cause):
        write_phantoms(tmp_path / "out", "brain_mri", **options)
    assert not (tmp_path / "out").exists()
