"""Which series goes to which model."""

import re

from MonaiSKD.pacs.routing import Route, SeriesFacts, route, why_none

CHEST = Route("chest_xray", ("DX", "CR"), ("CHEST", ""))
LUNG = Route("lung_ct", ("CT",), (), re.compile("lung|thorax", re.IGNORECASE), "largest")


def uids(routed):
    return {model: [one.uid for one in series] for model, series in routed.items()}


def test_modality_body_part_and_description_all_have_to_fit():
    assert CHEST.fits(SeriesFacts("1", "DX", "CHEST"))
    assert CHEST.fits(SeriesFacts("1", "CR", ""))
    assert not CHEST.fits(SeriesFacts("1", "CR", "KNEE"))
    assert not CHEST.fits(SeriesFacts("1", "CT", "CHEST"))
    assert LUNG.fits(SeriesFacts("1", "CT", "ANYTHING", "Thorax 1.0 I70"))
    assert not LUNG.fits(SeriesFacts("1", "CT", "CHEST", "Scout"))
    assert not LUNG.fits(SeriesFacts("1", "CT", "CHEST"))


def test_every_series_that_fits_or_the_largest():
    study = [
        SeriesFacts("1.9", "CT", "", "LUNG", 5),
        SeriesFacts("1.2", "CT", "", "lung", 300),
        SeriesFacts("1.1", "CT", "", "lung", 300),
        SeriesFacts("1.8", "DX"),
        SeriesFacts("1.7", "DX"),
        SeriesFacts("1.6", "SR"),
    ]
    assert uids(route([CHEST, LUNG], study)) == {"chest_xray": ["1.7", "1.8"], "lung_ct": ["1.1"]}
    assert uids(route([CHEST, LUNG], study[::-1])) == {"chest_xray": ["1.7", "1.8"], "lung_ct": ["1.1"]}


def test_two_rules_of_one_model_are_joined_and_a_series_may_go_to_two_models():
    rules = [Route("a", ("DX",)), Route("a", ("CR",)), Route("b", ("CR",))]
    study = [SeriesFacts("1.2", "CR"), SeriesFacts("1.1", "DX")]
    assert uids(route(rules, study)) == {"a": ["1.1", "1.2"], "b": ["1.2"]}


def test_the_reason_names_codes_and_no_free_text():
    study = [SeriesFacts("1", "US", "", "Anna Muster"), SeriesFacts("2", "CR", "KNEE"), SeriesFacts("3", "CR", "KNEE")]
    assert route([CHEST], study) == {}
    assert why_none(study) == "no rule fits its series (US, CR KNEE)"
    assert why_none([SeriesFacts("1", "")]) == "no rule fits its series (of no known modality)"
    assert why_none([]) == "no rule fits its series (none)"
    named = [SeriesFacts("1", "MUSTER^ANNA", "MUSTER ANNA")]
    assert why_none(named) == "no rule fits its series (of no known modality of another part)"
