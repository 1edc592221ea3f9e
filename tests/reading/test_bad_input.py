"""Whatever is given ends in a result or a refusal with a code: soon, in little memory, and never as another modality.

benchmarks/fuzz does the same for many thousands of files, with crashes survived and memory measured.
"""

from __future__ import annotations

import gzip
import io
import os
import random
import struct
import zipfile
from pathlib import Path

import pytest
from answered import RULES, answer, code, codes, dicom, write
from fuzz import cases, seeds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from MonaiSKD.runtime import Classifier

# --- every real file --------------------------------------------------------------------------------------------------

# What becomes of a file under the rules for chest radiographs, lung CT and brain MRI.
EXPECTED = {
    "dicom/README.md": ("not_an_image",) * 3,
    "dicom/manifest.csv": ("not_an_image",) * 3,
    "dicom/other/dicomdir": ("not_an_image",) * 3,
    "dicom/other/sr_document.dcm": ("not_an_image",) * 3,
    "dicom/other/mr_brain_no_pixels.dcm": ("not_an_image",) * 3,
    "dicom/other/ct_dose_report_no_pixels.dcm": ("not_an_image",) * 3,
    "dicom/other/mr_truncated_pixels.dcm": ("damaged",) * 3,
    "dicom/other/cr_extremity_mono1_j2k.dcm": ("wrong_body_part", "wrong_modality", "wrong_modality"),
    "dicom/other/dx_animal_thorax_lateral_mono1.dcm": ("wrong_body_part", "wrong_modality", "wrong_modality"),
    "dicom/other/mr_enhanced_head_multiframe.dcm": ("wrong_modality", "wrong_modality", "result"),
    "dicom/cxr/cr_chest_mono1_jpegls.dcm": ("result", "wrong_modality", "wrong_modality"),
    "dicom/ct/ct_chest_helical_implicit.dcm": ("wrong_modality", "result", "wrong_modality"),
    "dicom/mr_brain_axial_series/brain_002.dcm": ("wrong_modality", "wrong_modality", "result"),
    "volumes/other/example4d.nii.gz": ("unsupported",) * 3,
    "volumes/other/CT_AVM.nii.gz": ("wrong_modality", "unsupported", "result"),
    "volumes/lung_ct/lung_ct_baseline_mask.mha": ("wrong_modality", "not_an_image", "not_an_image"),
    "volumes/lung_ct/lung_ct_baseline_small.mha": ("wrong_modality", "result", "result"),
    "volumes/brain_mri/brain1_image.nrrd": ("wrong_modality", "unsupported", "result"),
}


def test_every_real_file_ends_in_an_answer(shared: Path, classifiers: dict[str, Classifier]) -> None:
    import pydicom

    found = {}
    for file in sorted(file for part in ("dicom", "volumes") for file in (shared / "data" / part).rglob("*")):
        if not file.is_file():
            continue
        name = str(file.relative_to(shared / "data"))
        found[name] = codes(classifiers, file)
        if found[name].count("result") and name.startswith("dicom"):
            modality = str(pydicom.dcmread(file, stop_before_pixels=True, force=True).get("Modality", ""))
            allowed = {"CT": 1, "MR": 2, "CR": 0, "DX": 0, "OT": 0}.get(modality)  # of OT it says so
            answered = {rule for rule, end in enumerate(found[name]) if end == "result"}
            assert not modality or answered == {allowed}, name
    assert len(found) > 70
    assert {name: found[name] for name in EXPECTED} == EXPECTED


# --- a brief fuzz -----------------------------------------------------------------------------------------------------

SMALL = [one for one in seeds.handmade() if len(one.content) < 20_000]


# Damage aimed at the decoders in C, and what takes long to make, is left to the benchmark: there a crash costs a child
# process only.
KINDS = ("bits flipped", "bits of the head flipped", "truncated", "chunks removed, doubled, blanked",
         "integers overwritten", "spliced with another file", "renamed", "tags deleted",
         "wrong VR", "absurd sizes", "impossible values",
         "other transfer syntax", "nested sequences", "not an image")  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(number=st.integers(0, 2**32), seed=st.sampled_from(SMALL), rule=st.sampled_from(RULES))
def test_mutants_end_in_an_answer(
    classifiers: dict[str, Classifier], tmp_path: Path, kind: str, number: int, seed: seeds.Seed, rule: str
) -> None:
    mutant = cases.MUTATIONS[kind][0](random.Random(number), seed, SMALL)
    if mutant is None:
        return
    name, content = (mutant.name, mutant.content) if isinstance(mutant, seeds.Seed) else (seed.name, mutant)
    answer(classifiers[rule], write(tmp_path / name, content))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("slope", "intercept"), [("1e308", "0"), ("-1e308", "1e308"), ("1", "1e300"), ("1e-320", "-1e308")]
)
def test_a_rescale_that_makes_giant_numbers_is_refused(
    tmp_path: Path, classifiers: dict[str, Classifier], rule: str, slope: str, intercept: str
) -> None:
    modality = {"chest_xray": "CR", "lung_ct": "CT", "brain_mri": "MR"}[rule]
    path = dicom(tmp_path, modality, RescaleSlope=slope, RescaleIntercept=intercept)
    assert code(answer(classifiers[rule], path)) == "damaged"


def test_damaged_run_lengths_are_refused_quietly(
    tmp_path: Path, classifiers: dict[str, Classifier], capfd: pytest.CaptureFixture[str]
) -> None:
    path = dicom(tmp_path, "MR", "5", 40)
    content = bytearray(path.read_bytes())
    at = content.rfind(b"\x02\0\0\0\x40\0\0\0")
    for changed in (content[: at + 70] + b"\x80" * 200, content[: at + 8] + b"\xff" * 40):
        assert code(answer(classifiers["brain_mri"], write(path, bytes(changed)))) == "damaged"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("suffix", [".dcm", ".png", ".jpg", ".tif", ".nii", ".nii.gz", ".mha", ".nrrd", ""])
def test_what_is_no_image_is_refused_under_any_name(
    tmp_path: Path, classifiers: dict[str, Classifier], suffix: str
) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.dcm", bytes(2**26))
    page = b"<!doctype html><html><body>Sign in</body></html>"
    # The last one made ITK's readers, tried one after the other, take 1.5 GB.
    rubbish = b"\x08\0\x05\0CS\x0a\0ISO_IR 100" + random.Random(1122).randbytes(500)
    marks = (b"", b"\0", bytes(500), bytes(128) + b"DICM", b"\x1f\x8b", b"%PDF-1.7")
    for content in (archive.getvalue(), page, *marks, rubbish):
        found = codes(classifiers, write(tmp_path / f"a{suffix}", content))
        assert set(found) <= {"damaged", "not_an_image"}, (content[:20], found)


# --- numbers that cannot be -------------------------------------------------------------------------------------------


def head_with(layout: str, at: int, *values: float) -> bytes:
    content = bytearray(seeds.nifti((6, 7, 8), offset=-1000))
    struct.pack_into(layout, content, at, *values)
    return bytes(content)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (head_with("<8h", 40, 3, -6, 7, 8, 1, 1, 1, 1), "damaged"),
        (head_with("<8h", 40, -3, 6, 7, 8, 1, 1, 1, 1), "damaged"),
        (head_with("<8h", 40, 3, 0, 7, 8, 1, 1, 1, 1), "damaged"),
        (
            head_with("<hh", 252, 0, 1)[:280] + struct.pack("<12f", *[NAN] * 12) + head_with("<h", 252, 0)[328:],
            "damaged",
        ),
        (head_with("<12f", 280, *[0.0] * 12), "damaged"),
        (head_with("<12f", 280, *[INF] * 12), "damaged"),
        (head_with("<f", 108, NAN), "damaged"),
        (head_with("<f", 108, 1e9), "damaged"),
        (head_with("<ff", 112, 1e38, 0.0), "damaged"),
        (head_with("<hh", 70, 1536, 128), "damaged"),
    ],
    ids=["length", "axes", "no length", "affine NaN", "affine 0", "affine inf", "offset", "far", "slope", "type"],
)
def test_nifti_of_impossible_numbers(
    tmp_path: Path, classifiers: dict[str, Classifier], content: bytes, expected: str
) -> None:
    for name, packed in (("a.nii", content), ("a.nii.gz", gzip.compress(content))):
        assert code(answer(classifiers["brain_mri"], write(tmp_path / name, packed))) == expected


@pytest.mark.parametrize("value", ["0", "9999999999999999", "-3", "11", "abc"])
def test_a_metaimage_of_impossible_axes_does_not_end_the_process(
    tmp_path: Path, classifiers: dict[str, Classifier], value: str
) -> None:
    pytest.importorskip("SimpleITK")
    content = seeds.metaimage().replace(b"NDims = 3", f"NDims = {value}".encode())
    assert codes(classifiers, write(tmp_path / "a.mha", content)) == ("damaged",) * 3


@pytest.mark.parametrize("data", ["pipe", "loop", "a\0b", "/dev/zero", "../x.raw", "absent.raw", "LIST", "%03d.raw"])
def test_a_metaimage_whose_values_are_no_plain_file(
    tmp_path: Path, classifiers: dict[str, Classifier], data: str
) -> None:
    pytest.importorskip("SimpleITK")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    head = seeds.metaimage().split(b"LOCAL")[0] + data.encode() + b"\n"
    assert set(codes(classifiers, write(tmp_path / "a.mhd", head))) <= {"damaged", "unsupported"}


def test_sequences_in_sequences_are_refused(tmp_path: Path, classifiers: dict[str, Classifier]) -> None:
    content = dicom(tmp_path).read_bytes()
    at = content.find(b"\x28\x00\x02\x00", 132)
    for length in (b"\xff" * 4, struct.pack("<I", 2**31), struct.pack("<I", 8)):
        opened = (b"\x27\x00\x10\x10SQ\0\0" + length + b"\xfe\xff\x00\xe0" + length) * 10_000
        for closed in (b"", (b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0") * 10_000):
            path = write(tmp_path / "a.dcm", content[:at] + opened + closed + content[at:])
            assert code(answer(classifiers["lung_ct"], path)) in ("damaged", "not_an_image", "result")


def test_pixels_of_undefined_length_without_an_end_are_refused(
    tmp_path: Path, classifiers: dict[str, Classifier]
) -> None:
    content = bytearray(dicom(tmp_path).read_bytes())
    at = content.rfind(b"\xe0\x7f\x10\x00OW")
    content[at + 8 : at + 12] = b"\xff" * 4
    assert code(answer(classifiers["lung_ct"], write(tmp_path / "a.dcm", bytes(content)))) == "damaged"
