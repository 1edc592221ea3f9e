from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image as PILImage

from MonaiSKD.datasets import Case
from MonaiSKD.datasets.duplicates import find_divided_patients, find_exact_duplicates, find_near_duplicates
from MonaiSKD.datasets.facts import Facts, measure
from MonaiSKD.datasets.phantoms import make_phantom
from MonaiSKD.reading import RULES


def facts_of(path: Path, pixels: np.ndarray, split: str = "train") -> Facts:
    PILImage.fromarray((pixels * 255).round().astype(np.uint8)).save(path)
    return measure(Case(str(path), "a", split), RULES["brain_mri"])


def brain(seed: int) -> np.ndarray:
    return make_phantom("brain_mri", "no_tumor", np.random.default_rng(seed), size=96).pixels


def test_exact_duplicates_are_grouped_by_their_hash() -> None:
    cases = [
        Case("0.png", "a", "train"),
        Case("1.png", "a", "train"),
        Case("2.png", "b", "test"),
        Case("3.png", "a", "train"),
        Case("4.png", "a", "train"),
    ]
    first, second = find_exact_duplicates(zip("xyxyx", cases, strict=True))
    assert (first.paths, first.labels, first.splits) == (
        ("0.png", "2.png", "4.png"),
        ("a", "b", "a"),
        ("train", "test", "train"),
    )
    assert (first.across_splits, first.mixed_labels) == (True, True)
    assert (second.paths, second.across_splits, second.mixed_labels) == (("1.png", "3.png"), False, False)
    assert second.to_dict() == {"paths": ["1.png", "3.png"], "labels": ["a", "a"], "splits": ["train", "train"]}
    assert find_exact_duplicates(zip("abcde", cases, strict=True)) == ()


def test_the_hash_is_of_pixels_and_their_shape(tmp_path: Path) -> None:
    pixels = np.arange(48).reshape(6, 8) / 255
    one, same, turned = (
        facts_of(tmp_path / name, array)
        for name, array in (("1.png", pixels), ("2.bmp", pixels), ("3.png", pixels.reshape(8, 6)))
    )
    assert one.sha256 == same.sha256 != turned.sha256
    assert (one.height, one.width, one.file_type) == (6, 8, ".png")


def test_different_brains_are_no_near_duplicates_and_a_noisy_copy_is(tmp_path: Path) -> None:
    facts = [facts_of(tmp_path / f"{seed}.png", brain(seed)) for seed in range(12)]
    assert find_near_duplicates(facts) == ()
    noisy = np.clip(brain(4) + np.random.default_rng(9).normal(0, 0.01, (96, 96)), 0, 1)
    facts.append(facts_of(tmp_path / "noisy.png", noisy, "val"))
    (pair,) = find_near_duplicates(facts)
    assert [Path(path).name for path in pair.paths] == ["4.png", "noisy.png"]
    assert pair.across_splits
    assert find_near_duplicates([]) == ()


def test_an_exact_copy_is_not_a_near_duplicate_too(tmp_path: Path) -> None:
    facts = [facts_of(tmp_path / name, brain(0)) for name in ("1.png", "2.png")]
    assert find_near_duplicates(facts) == ()


def test_border_mean_and_contrast_of_a_known_picture(tmp_path: Path) -> None:
    pixels = np.zeros((40, 20))
    pixels[2:-2, 1:-1] = 1.0  # 5 % of 40 rows is 2, of 20 columns is 1
    facts = facts_of(tmp_path / "a.png", pixels)
    assert (facts.border_mean, facts.border_deviation) == (0.0, 0.0)
    assert np.isclose(facts.mean, 36 * 18 / 800)
    assert np.isclose(facts.deviation, np.sqrt(facts.mean * (1 - facts.mean)))


def test_divided_patients_come_with_an_image_of_each_split() -> None:
    cases = [
        Case("1.png", "a", "train", "p"),
        Case("2.png", "a", "train", "p"),
        Case("3.png", "a", "test", "p"),
        Case("4.png", "a", "train", "q"),
        Case("5.png", "a", "train", "q"),
        Case("6.png", "a", "train"),
        Case("7.png", "a", "test"),
    ]
    assert find_divided_patients(cases) == {"p": ("1.png", "3.png")}
