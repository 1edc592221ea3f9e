from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from MonaiSKD.datasets import Case
from MonaiSKD.datasets.facts import Facts
from MonaiSKD.datasets.shortcuts import Shortcut, find_shortcuts


def plain(count: int, classes: str = "ab") -> list[Facts]:
    """Images that differ in nothing."""
    return [
        Facts(
            case=Case(f"{number:03}.png", classes[number % len(classes)], "train"),
            height=100,
            width=80,
            sha256=str(number),
            mean=0.5,
            deviation=0.2,
            border_mean=0.1,
            border_deviation=0.05,
            phash=np.zeros(64, dtype=bool),
            thumbnail=np.zeros((64, 64), dtype=np.uint8),
        )
        for number in range(count)
    ]


def only(facts: list[Facts]) -> Shortcut:
    (found,) = find_shortcuts(facts)
    return found


def test_what_does_not_differ_is_not_listed() -> None:
    assert find_shortcuts(plain(40)) == ()


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("image size", {"height": 120}),
        ("image size", {"width": 81}),
        ("border", {"border_mean": 0.4}),
        ("border", {"border_deviation": 0.4}),
        ("mean intensity and contrast", {"mean": 0.6}),
        ("mean intensity and contrast", {"deviation": 0.1}),
    ],
)
def test_a_number_that_marks_one_class_is_flagged(name: str, changes: dict) -> None:
    facts = [replace(fact, **changes) if fact.case.label == "a" else fact for fact in plain(40)]
    found = only(facts)
    assert (found.name, found.balanced_accuracy, found.chance, found.flagged) == (name, 1.0, 0.5, True)
    assert found.remedy


@pytest.mark.parametrize(
    ("name", "changes"), [("source", {"source": "north"}), ("file type", {"path": "x.jpg", "patient_id": None})]
)
def test_a_category_that_marks_one_class_is_flagged(name: str, changes: dict) -> None:
    facts = plain(60, "abc")
    for number, fact in enumerate(facts):
        if fact.case.label == "a":
            own = {**changes, "path": f"{number}.jpg"} if "path" in changes else changes
            facts[number] = replace(fact, case=replace(fact.case, **own))
    found = only(facts)
    # It tells a from the rest, and guesses between b and c.
    assert (found.name, found.flagged) == (name, True)
    assert found.balanced_accuracy == pytest.approx(2 / 3, abs=0.01)
    assert found.chance == pytest.approx(1 / 3)


def test_a_property_without_relation_is_listed_and_not_flagged() -> None:
    rng = np.random.default_rng(0)
    facts = [replace(fact, mean=float(rng.random())) for fact in plain(100)]
    found = only(facts)
    assert not found.flagged
    assert 0.3 < found.balanced_accuracy < 0.65
    assert found.to_dict().keys() == {"name", "balanced_accuracy", "chance", "flagged"}


def test_the_images_of_a_patient_are_judged_together() -> None:
    # The mean names the patient. It tells the class of further images of the same patients, not of other patients.
    facts = []
    for number, fact in enumerate(plain(120)):
        patient = number // 10
        case = replace(fact.case, label="ab"[patient % 2], patient_id=f"p{patient}")
        facts.append(replace(fact, case=case, mean=float(np.sin(37.0 * patient))))
    assert not only(facts).flagged
    alone = [replace(fact, case=replace(fact.case, patient_id=None)) for fact in facts]
    assert only(alone).flagged


@pytest.mark.parametrize("facts", [[], plain(40, "a"), plain(8)], ids=["none", "one class", "4 of each class"])
def test_too_little_to_say_anything(facts: list[Facts]) -> None:
    changed = [replace(fact, mean=number / 100) for number, fact in enumerate(facts)]
    assert find_shortcuts(changed) == ()


@pytest.mark.parametrize(("patients", "flagged"), [(12, False), (120, True)])
def test_a_score_of_few_patients_is_no_more_certain_for_their_many_images(patients: int, flagged: bool) -> None:
    """The mean is right for five of six patients: of 6 in each class that is chance, of 60 it is not."""
    facts = []
    for number, fact in enumerate(plain(240)):
        patient = number % patients
        case = replace(fact.case, label="ab"[patient % 2], patient_id=f"p{patient}")
        bright = (patient % 2 == 1) != (patient // 2 % 6 == 0)
        facts.append(replace(fact, case=case, mean=0.8 if bright else 0.2))
    found = only(facts)
    assert found.balanced_accuracy == pytest.approx(5 / 6, abs=0.01)
    assert found.flagged == flagged
