"""Clean phantoms, and the same with one thing wrong."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage
from pydicom.data import get_testdata_file
from reading.handmade import header
from reading.handmade import save as save_dicom

from MonaiSKD.datasets import Case, DataList, assert_no_leak, check_data, load_datalist
from MonaiSKD.datasets.phantoms import write_phantoms
from MonaiSKD.errors import SKDError
from MonaiSKD.reading import RULES, read_image

RULE = RULES["chest_xray"]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> DataList:
    folder = tmp_path_factory.mktemp("clean")
    write_phantoms(folder, "chest_xray", per_class=(10, 10, 10), size=96)
    return load_datalist(folder)


def with_case(data: DataList, *cases: Case) -> DataList:
    return replace(data, cases=(*data.cases, *cases))


def save(path: Path, pixels: np.ndarray, **options: object) -> str:
    PILImage.fromarray(pixels.astype(np.uint8)).save(path, **options)
    return str(path)


def pixels_of(case: Case) -> np.ndarray:
    return np.asarray(PILImage.open(case.path))


def test_clean_data_are_ok(clean: DataList) -> None:
    report = check_data(clean, RULE)
    assert (report.verdict, report.problems) == ("ok", ())
    assert report.counts == {split: {"normal": 10, "opacity": 10} for split in ("train", "val", "test")}
    assert report.text().splitlines()[:4] == [
        "split     normal  opacity     all",
        "train         10       10      20",
        "val           10       10      20",
        "test          10       10      20",
    ]
    assert report.text().splitlines()[-1] == "OK: nothing found that would spoil a result"
    # One size, one file type and no source: these cannot tell anything apart and are not listed.
    assert [shortcut.name for shortcut in report.shortcuts] == ["border", "mean intensity and contrast"]
    assert_no_leak(clean, RULE)


def test_a_picture_in_two_splits_is_a_leak_even_in_another_format(clean: DataList, tmp_path: Path) -> None:
    original = clean.of("train")[3]
    copy = save(tmp_path / "copy.bmp", pixels_of(original))
    data = with_case(clean, Case(copy, original.label, "test"))
    report = check_data(data, RULE)
    assert report.verdict == "leak"
    assert [(group.paths, group.splits) for group in report.exact_duplicates] == [
        ((original.path, copy), ("train", "test"))
    ]
    assert report.near_duplicates == ()
    assert report.problems == (f"1 picture in more than one split ({original.path}, {copy}): keep one copy.",)
    assert "LEAK: test results would be too good; train refuses these data" in report.text()
    with pytest.raises(SKDError, match="is the same picture as") as caught:
        assert_no_leak(data, RULE)
    assert caught.value.thing == original.path
    assert copy in caught.value.cause


def test_a_picture_twice_in_one_split_is_a_warning(clean: DataList, tmp_path: Path) -> None:
    original = clean.of("train")[0]
    copy = save(tmp_path / "copy.png", pixels_of(original))
    data = with_case(clean, Case(copy, "opacity", "train"))
    report = check_data(data, RULE)
    assert report.verdict == "warnings"
    assert report.problems == (
        f"1 picture under two classes ({original.path}, {copy}): correct the label.",
        f"1 picture more than once in a split ({original.path}, {copy}): keep one copy.",
    )
    assert_no_leak(data, RULE)


@pytest.mark.parametrize("change", ["jpeg", "brighter", "smaller"])
def test_a_reencoded_picture_is_a_near_duplicate(clean: DataList, tmp_path: Path, change: str) -> None:
    original = clean.of("train")[5]
    pixels = pixels_of(original)
    if change == "jpeg":
        copy = save(tmp_path / "copy.jpg", pixels, quality=80)
    elif change == "brighter":
        copy = save(tmp_path / "copy.png", np.clip(pixels * 1.05 + 4, 0, 255))
    else:
        copy = save(tmp_path / "copy.png", np.asarray(PILImage.fromarray(pixels).resize((84, 84))))
    data = with_case(clean, Case(copy, original.label, "test"))
    report = check_data(data, RULE)
    assert [pair.paths for pair in report.near_duplicates] == [(original.path, copy)]
    assert report.exact_duplicates == ()
    assert report.verdict == "warnings"
    sentence = f"1 near-duplicate pair across splits ({original.path}, {copy}): keep one of each."
    assert report.problems[0] == sentence
    assert check_data(data, RULE, near_duplicates=False).near_duplicates == ()
    assert_no_leak(data, RULE)


def test_a_patient_in_two_splits_is_a_leak(clean: DataList) -> None:
    train, test = clean.of("train")[0], clean.of("test")[0]
    divided = {train: replace(train, patient_id="p7"), test: replace(test, patient_id="p7")}
    data = replace(clean, cases=tuple(divided.get(case, case) for case in clean.cases))
    report = check_data(data, RULE)
    assert report.verdict == "leak"
    # A folder is listed in the order of names: test before train.
    assert report.divided_patients == {"p7": (test.path, train.path)}
    assert report.problems == (
        f"1 patient in more than one split (p7: {test.path}, {train.path}): move each to one split.",
    )
    with pytest.raises(SKDError, match="shows patient 'p7', as does"):
        assert_no_leak(data, RULE)


def test_a_patient_within_one_split_is_no_leak(clean: DataList) -> None:
    cases = tuple(replace(case, patient_id=f"{case.split}-{case.label}") for case in clean.cases)
    report = check_data(replace(clean, cases=cases), RULE)
    assert report.divided_patients == {}
    # Three patients to a class are too few to say anything about shortcuts.
    assert report.shortcuts == ()
    assert_no_leak(replace(clean, cases=cases), RULE)


@pytest.mark.parametrize("split", ["val", "test"])
def test_an_unlabeled_picture_that_is_also_held_out_is_a_leak(clean: DataList, tmp_path: Path, split: str) -> None:
    held_out, trained = clean.of(split)[2], clean.of("train")[2]
    for name, case in (("a.png", trained), ("b.png", trained)):  # known to the training anyway
        save(tmp_path / name, pixels_of(case))
    save(tmp_path / "blank.png", np.full((96, 96), 9))
    assert_no_leak(clean, RULE, tmp_path)
    (tmp_path / "deep").mkdir()
    copy = save(tmp_path / "deep" / "copy.bmp", pixels_of(held_out))
    assert_no_leak(clean, RULE)
    with pytest.raises(SKDError, match="is the same picture as the unlabeled image") as caught:
        assert_no_leak(clean, RULE, tmp_path)
    assert caught.value.thing == held_out.path
    assert copy in caught.value.cause
    assert "Take it out of the unlabeled images" in caught.value.remedy
    with pytest.raises(SKDError, match="there are no images"):
        assert_no_leak(clean, RULE, tmp_path / "absent")


def test_an_unlabeled_dicom_image_of_a_held_out_patient_is_a_leak(clean: DataList, tmp_path: Path) -> None:
    def write(name: str, patient: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        pixels = np.random.default_rng(len(name)).integers(0, 4096, (96, 96)).astype(np.uint16)
        save_dicom(path, pixels, header("CR", PatientID=patient))
        return str(path)

    labelled = [
        Case(write("1.dcm", "4711"), "normal", "train", "mine 1"),
        Case(write("22.dcm", "0815"), "normal", "test", "mine 2"),
    ]
    data = with_case(clean, *labelled)
    write("more/333.dcm", "4711")
    write("more/4444.dcm", "42")
    assert_no_leak(data, RULE, tmp_path / "more")
    write("more/55555.dcm", "0815")
    with pytest.raises(SKDError, match="shows the same patient as the unlabeled image") as caught:
        assert_no_leak(data, RULE, tmp_path / "more")
    assert caught.value.thing == labelled[1].path
    assert "55555.dcm" in caught.value.cause
    assert "0815" not in str(caught.value)


def test_one_class_with_a_brighter_border_is_a_shortcut(clean: DataList, tmp_path: Path) -> None:
    cases = []
    for number, case in enumerate(clean.cases):
        pixels = pixels_of(case).copy()
        if case.label == "opacity":
            for edge in (np.s_[:5], np.s_[-5:], np.s_[:, :5], np.s_[:, -5:]):
                pixels[edge] = 230
        cases.append(replace(case, path=save(tmp_path / f"{number:03}.png", pixels)))
    report = check_data(replace(clean, cases=tuple(cases)), RULE)
    border = next(shortcut for shortcut in report.shortcuts if shortcut.name == "border")
    assert (border.balanced_accuracy, border.chance, border.flagged) == (1.0, 0.5, True)
    assert report.verdict == "warnings"
    assert "border alone reaches 100% balanced accuracy (chance 50%): crop all images alike." in report.problems


def test_unusable_and_small_images_are_listed(clean: DataList, tmp_path: Path) -> None:
    broken, blank = tmp_path / "broken.png", tmp_path / "blank.png"
    broken.write_bytes(Path(clean.cases[0].path).read_bytes()[:200])
    save(blank, np.full((96, 96), 9))
    small = save(tmp_path / "small.png", np.random.default_rng(0).integers(0, 256, (95, 120)))
    added = [Case(str(path), "normal", "train") for path in (broken, blank, small)]
    report = check_data(with_case(clean, *added), RULE)
    assert set(report.unreadable) == {str(broken), str(blank)}
    assert "cannot be decoded" in report.unreadable[str(broken)]
    assert report.unreadable[str(blank)] == "shows nothing: all its pixels have one value"
    assert (report.verdict, report.other_modality) == ("unusable", ())
    assert "UNUSABLE: train refuses these data" in report.text()
    assert report.small == (small,)
    assert report.problems[0].startswith(f"2 unusable files ({broken}: cannot be decoded")
    assert report.problems[1] == f"1 image with a side below 96 pixels ({small}): use larger originals."
    for case in added[:2]:
        with pytest.raises(SKDError) as caught:
            assert_no_leak(with_case(clean, case), RULE)
        assert caught.value.thing == case.path


def test_images_of_another_modality_are_told_apart_from_broken_ones(clean: DataList, tmp_path: Path) -> None:
    slices = [str(shutil.copy(get_testdata_file("MR_small.dcm"), tmp_path / f"{n}.dcm")) for n in (1, 2)]
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    added = with_case(clean, *(Case(path, "normal", "train") for path in (str(broken), *slices)))
    report = check_data(added, RULE)
    assert (report.verdict, report.other_modality) == ("unusable", tuple(slices))
    assert report.to_dict()["other_modality"] == slices
    assert report.problems[:2] == (
        f"2 unusable files of another modality ({slices[0]}: is of modality MR, not a chest radiograph): "
        "replace or remove, or name another --modality.",
        f"1 unusable file ({broken}: {report.unreadable[str(broken)]}): replace or remove.",
    )
    # A leak goes before, as training would tell it of the others.
    original = clean.of("train")[3]
    copy = save(tmp_path / "copy.bmp", pixels_of(original))
    assert check_data(with_case(added, Case(copy, original.label, "test")), RULE).verdict == "leak"


def test_missing_splits_few_images_and_imbalance_are_warnings(clean: DataList) -> None:
    train = clean.of("train")
    cases = (*[case for case in train if case.label == "opacity"], *[c for c in train if c.label == "normal"][:3])
    report = check_data(replace(clean, cases=cases), RULE)
    assert report.problems == (
        "train has few images (normal 3): its figures will be coarse; add some.",
        "there are no val images: give this split, or leave out all splits to have them drawn.",
        "there are no test images: give this split, or leave out all splits to have them drawn.",
        "train has 3.3 times as many opacity as normal: add images of normal.",
    )


def test_a_report_is_json(clean: DataList, tmp_path: Path) -> None:
    copy = save(tmp_path / "copy.png", pixels_of(clean.of("train")[0]))
    data = with_case(clean, Case(copy, "normal", "val"))
    report = check_data(data, RULE)
    written = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert written["verdict"] == "leak"
    assert written["problems"] == list(report.problems)
    assert written["exact_duplicates"][0]["splits"] == ["train", "val"]
    assert written["shortcuts"][0].keys() == {"name", "balanced_accuracy", "chance", "flagged"}


def test_reading_is_the_same_as_read_image(clean: DataList) -> None:
    # The report speaks of what the network sees, so a leak is found in canonical pixels.
    case = clean.cases[0]
    np.testing.assert_array_equal(read_image(case.path, RULE).pixels[0] * 255, pixels_of(case).astype(np.float32))


def test_real_radiographs_show_where_they_come_from(shared: Path) -> None:
    # In this collection most normal images come from another hospital than the others.
    report = check_data(load_datalist(shared / "data" / "cxr" / "manifest.csv"), RULE, near_duplicates=False)
    flagged = {shortcut.name: shortcut for shortcut in report.shortcuts if shortcut.flagged}
    assert {"source", "image size"} <= set(flagged)
    assert flagged["source"].balanced_accuracy == pytest.approx(0.64, abs=0.02)
    assert report.verdict == "warnings"
    assert sum(report.counts["train"].values()) == 1119
    assert report.unreadable == {}
