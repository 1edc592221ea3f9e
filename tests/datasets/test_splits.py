from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from MonaiSKD.datasets import SPLITS, Case
from MonaiSKD.datasets.splits import complete_splits, divide
from MonaiSKD.errors import SKDError

FRACTIONS = {"train": 0.7, "val": 0.1, "test": 0.2}


@st.composite
def case_lists(draw: st.DrawFn) -> list[Case]:
    """Up to 60 images of up to 3 classes; some have a patient, whose images may be of several classes."""
    numbers = draw(st.lists(st.tuples(st.integers(0, 2), st.none() | st.integers(0, 12)), min_size=1, max_size=60))
    return [
        Case(f"{index:03}.png", "abc"[label], None, None if patient is None else f"p{patient}")
        for index, (label, patient) in enumerate(numbers)
    ]


@given(cases=case_lists(), seed=st.integers(0, 5))
def test_every_image_gets_one_split_and_no_patient_gets_two(cases: list[Case], seed: int) -> None:
    divided = divide(cases, FRACTIONS, seed)
    assert [replace(case, split=None) for case in divided] == cases
    splits = defaultdict(set)
    for case in divided:
        splits[case.patient_id or case.path].add(case.split)
    assert all(len(of_one) == 1 for of_one in splits.values())
    assert {case.split for case in divided} <= set(SPLITS)


@given(cases=case_lists(), seed=st.integers(0, 5), shuffling=st.randoms(use_true_random=False))
def test_the_order_of_the_listing_does_not_matter(cases: list[Case], seed: int, shuffling: random.Random) -> None:
    shuffled = list(cases)
    shuffling.shuffle(shuffled)
    assert divide(shuffled, FRACTIONS, seed) == divide(cases, FRACTIONS, seed)


@given(cases=case_lists(), seed=st.integers(0, 5))
def test_a_class_of_single_images_is_in_train_and_within_one_of_its_shares(cases: list[Case], seed: int) -> None:
    single = [replace(case, patient_id=None) for case in cases]
    counts = Counter((case.label, case.split) for case in divide(single, FRACTIONS, seed))
    for label, total in Counter(case.label for case in single).items():
        assert counts[label, "train"] >= 1
        if total >= 3:
            assert min(counts[label, split] for split in SPLITS) >= 1
        if total >= 10:
            assert all(abs(counts[label, split] - FRACTIONS[split] * total) <= 1 for split in SPLITS)


@pytest.mark.parametrize(
    ("images", "counts"), [(1, (1, 0, 0)), (2, (1, 0, 1)), (3, (1, 1, 1)), (10, (7, 1, 2)), (200, (140, 20, 40))]
)
def test_the_shares_of_one_class(images: int, counts: tuple[int, int, int]) -> None:
    divided = divide([Case(f"{n:03}.png", "a") for n in range(images)], FRACTIONS, 0)
    assert tuple(Counter(case.split for case in divided)[split] for split in SPLITS) == counts


def test_patients_of_several_images_come_close_to_the_shares() -> None:
    cases = [Case(f"{n:03}.png", "ab"[n % 40 < 12], None, f"p{n % 40}") for n in range(200)]
    counts = Counter((case.label, case.split) for case in divide(cases, FRACTIONS, 3))
    # 12 and 28 patients of 5 images each; the shares are 42, 6, 12 and 98, 14, 28.
    assert [counts["b", split] for split in SPLITS] == [45, 5, 10]
    assert [counts["a", split] for split in SPLITS] == [100, 15, 25]


@given(cases=case_lists(), seed=st.integers(0, 5))
def test_every_class_is_in_train_whatever_else_its_patients_have(cases: list[Case], seed: int) -> None:
    divided = divide(cases, FRACTIONS, seed)
    assert {case.label for case in divided if case.split == "train"} == {case.label for case in cases}


def test_patients_of_many_images_are_in_every_split_in_proportion() -> None:
    """Of 30 patients with 9 images and 270 with 1, in 20 draws: a tenth and a fifth of either kind, within a third."""
    cases = [Case(f"{n}-{k}.png", "ab"[n % 2], None, f"p{n}") for n in range(300) for k in range(9 if n < 30 else 1)]
    counts: Counter[tuple[bool, str | None]] = Counter()
    for seed in range(20):
        divided = divide(cases, FRACTIONS, seed)
        patients = {case.patient_id: case.split for case in divided}
        counts.update((int(name[1:]) < 30, split) for name, split in patients.items() if name)
        images = Counter(case.split for case in divided)
        assert all(abs(images[split] - FRACTIONS[split] * 540) <= 9 for split in SPLITS)
    for many, total in ((True, 600), (False, 5400)):
        for split in SPLITS:
            assert counts[many, split] == pytest.approx(FRACTIONS[split] * total, rel=1 / 3)


def test_a_patient_with_more_images_than_a_small_split_wants_is_in_the_large_one() -> None:
    cases = [Case(f"{n:03}.png", "a", None, "p" if n < 50 else None) for n in range(100)]
    for seed in range(10):
        divided = divide(cases, FRACTIONS, seed)
        assert {case.split for case in divided if case.patient_id} == {"train"}
        assert Counter(case.split for case in divided) == {"train": 70, "val": 10, "test": 20}


def test_an_image_named_like_a_patient_is_not_that_patient() -> None:
    cases = [Case("x", "a"), Case("y", "a", None, "x"), Case("z", "a", None, "x")]
    divided = {case.path: case.split for case in divide(cases, {"train": 0.6, "test": 0.4}, 0)}
    assert divided["y"] == divided["z"] != divided["x"]


def test_another_seed_draws_another_division() -> None:
    cases = [Case(f"{n:03}.png", "ab"[n % 2]) for n in range(40)]
    assert divide(cases, FRACTIONS, 0) != divide(cases, FRACTIONS, 1)


def test_a_missing_validation_split_leaves_the_test_split_alone() -> None:
    cases = [Case(f"{n:02}.png", "ab"[n % 2], "train" if n < 32 else "test", f"p{n // 2}") for n in range(40)]
    divided = complete_splits(Path("data"), cases, (0.7, 0.1, 0.2), 0)
    assert {case for case in divided if case.split == "test"} == {case for case in cases if case.split == "test"}
    # One eighth of the 16 patients in train.
    assert Counter(case.split for case in divided) == {"train": 28, "val": 4, "test": 8}
    patients = {split: {case.patient_id for case in divided if case.split == split} for split in SPLITS}
    assert not patients["train"] & patients["val"]


@pytest.mark.parametrize("splits", [("train", "val", "test"), ("train", "val"), ("val", "test"), ("test",)])
def test_given_splits_are_kept(splits: tuple[str, ...]) -> None:
    cases = tuple(Case(f"{n}.png", "ab"[n % 2], splits[n % len(splits)]) for n in range(12))
    assert complete_splits(Path("data"), cases, (0.7, 0.1, 0.2), 0) == cases


def test_some_with_and_some_without_a_split_are_refused() -> None:
    cases = [Case("1.png", "a", "train"), Case("2.png", "a")]
    with pytest.raises(SKDError, match=r"2\.png has no split while others have one"):
        complete_splits(Path("data"), cases, (0.7, 0.1, 0.2), 0)
