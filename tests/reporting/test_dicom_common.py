"""What all DICOM objects of this package share: the codes of classes."""

import pytest

pytest.importorskip("highdicom")

from MonaiSKD.reporting.dicom_common import class_code


def test_a_sign_may_turn_the_meaning_of_a_class():
    assert class_code("COVID 19") == class_code("covid_19") == class_code("Covid-19")
    assert class_code("covid").scheme_designator == "SCT"
    for label in ("COVID-", "covid-19 (-)", "Pneumonia -", "normal?", "no covid"):
        assert class_code(label).scheme_designator == "99MONAISKD"
    for one, other in (("HPV+", "HPV-"), ("<5 mm", ">5 mm"), ("a", "a?")):
        assert class_code(one).value != class_code(other).value
    assert class_code("no_tumor").value == class_code("no tumor").value == "NO_TUMOR"
    assert all(len(class_code(label).value) <= 16 for label in ("HPV+", "a name of more than sixteen letters"))
