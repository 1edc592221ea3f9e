"""Whatever is given ends in a result or a refusal with a code: soon, in little memory, and never as another modality.

benchmarks/fuzz does the same for many thousands of files, with crashes survived and memory measured.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import random
import socket
import struct
import sys
import time
import zipfile
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tinymodel import write_tiny_model

from MonaiSKD.errors import CODES
from MonaiSKD.reading.sources import Source
from MonaiSKD.runtime import Classifier, Failure, Result

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from fuzz import cases, seeds, usage

RULES = ("chest_xray", "lung_ct", "brain_mri")
SECONDS = 10
MEGABYTES = 1024  # measured where there is /proc


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Classifier]:
    folder = tmp_path_factory.mktemp("models")
    return {rule: Classifier(write_tiny_model(folder / f"{rule}.onnx", rule), threads=1) for rule in RULES}


def answer(classifier: Classifier, path: Path) -> Result | Failure:
    """The answer for one path, having taken neither long nor much."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    before, start = usage.memory("VmRSS"), time.process_time()
    found = classifier.attempt(Source(str(path), (str(path),)))
    assert time.process_time() - start < SECONDS
    assert usage.memory("VmHWM") - before < MEGABYTES
    if isinstance(found, Failure):
        assert found.code in CODES
        assert found.code != "internal", found
    else:
        assert np.isfinite(list(found.probabilities.values())).all()
    return found


def code(found: Result | Failure) -> str:
    return found.code if isinstance(found, Failure) else "result"


def codes(classifiers: dict[str, Classifier], path: Path) -> tuple[str, ...]:
    return tuple(code(answer(classifiers[rule], path)) for rule in RULES)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


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


# --- giants and bombs -------------------------------------------------------------------------------------------------


def png(width: int, height: int, data: bytes) -> bytes:
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (head, b"IDAT" + data, b"IEND")
    chunks = [struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@cache
def zeros(count: int, wbits: int = zlib.MAX_WBITS) -> bytes:
    """So many zeros, compressed without ever being there."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return b"".join([*(packer.compress(bytes(2**20)) for _ in range(count >> 20)), packer.flush()])


def test_a_png_of_giant_size_is_refused(tmp_path: Path, classifiers: dict[str, Classifier]) -> None:
    bomb = write(tmp_path / "a.png", png(30000, 30000, zeros(64 * 2**20)))
    assert bomb.stat().st_size < 2**20
    assert codes(classifiers, bomb) == ("too_large",) * 3
    for side in (7100, 65535, 2**31 - 1):
        assert codes(classifiers, write(tmp_path / "b.png", png(side, side, b""))) == ("too_large",) * 3


def test_a_gzip_bomb_is_not_inflated(tmp_path: Path, classifiers: dict[str, Classifier]) -> None:
    four_gigabytes = zeros(2**26, 31) * 64  # gzip files one behind the other are one file
    assert len(four_gigabytes) < 5 * 2**20
    assert codes(classifiers, write(tmp_path / "a.nii.gz", four_gigabytes)) == ("damaged",) * 3
    head = nifti_head(2, 2, 2)
    assert codes(classifiers, write(tmp_path / "b.nii.gz", gzip.compress(head) + four_gigabytes))[2] == "not_an_image"


def nifti_head(*shape: int, kind: str = "u1") -> bytearray:
    head = bytearray(seeds.nifti((2, 2, 2), kind)[:352])
    struct.pack_into("<8h", head, 40, len(shape), *shape, *[1] * (7 - len(shape)))
    return head


@pytest.mark.parametrize("shape", [(32767,) * 3, (32767,) * 7, (2000, 2000, 400)])
def test_a_nifti_that_promises_too_much_is_refused(
    tmp_path: Path, classifiers: dict[str, Classifier], shape: tuple[int, ...]
) -> None:
    content = bytes(nifti_head(*shape)) + bytes(100)
    assert set(codes(classifiers, write(tmp_path / "a.nii", content))) == {"too_large"}
    assert set(codes(classifiers, write(tmp_path / "a.nii.gz", gzip.compress(content)))) == {"too_large"}


def dicom(tmp_path: Path, modality: str = "CT", syntax: str = "1", size: int = 40, **tags: object) -> Path:
    content = seeds.dicom(modality, f"1.2.840.10008.1.2.{syntax}", size)
    if tags:
        import pydicom

        dataset = pydicom.dcmread(io.BytesIO(content))
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
        written = io.BytesIO()
        dataset.save_as(written)
        content = written.getvalue()
    return write(tmp_path / f"{modality}.dcm", content)


@pytest.mark.parametrize("syntax", ["1", "5", "4.50", "4.80", "4.90"])
@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"Rows": 65535, "Columns": 65535}, "too_large"),
        ({"NumberOfFrames": 10**9}, "too_large"),
        ({"NumberOfFrames": 10**6, "Rows": 1, "Columns": 1}, "too_large"),
        ({"NumberOfFrames": 4000, "Rows": 1, "Columns": 1}, "damaged"),
        ({"Rows": 0}, "damaged"),
        ({"BitsAllocated": 12}, "damaged"),
    ],
)
def test_dicom_headers_that_promise_too_much_are_refused(
    tmp_path: Path, classifiers: dict[str, Classifier], syntax: str, tags: dict[str, int], expected: str
) -> None:
    assert set(codes(classifiers, dicom(tmp_path, "CT", syntax, **tags))) == {expected}


def test_more_frames_than_a_volume_has_are_refused(tmp_path: Path, classifiers: dict[str, Classifier]) -> None:
    count = 200_000  # enough bytes for all of them
    path = dicom(tmp_path, "MR", Rows=1, Columns=1, NumberOfFrames=count, PixelData=bytes(2 * count))
    assert set(codes(classifiers, path)) == {"too_large"}


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


def test_a_deflated_bomb_is_refused(tmp_path: Path, classifiers: dict[str, Classifier]) -> None:
    content = seeds.dicom("CT", "1.2.840.10008.1.2.1.99")
    start = content.find(struct.pack("<HH2sHH", 2, 0x10, b"UI", 22, 0)[:6])
    start += 8 + struct.unpack_from("<H", content, start + 6)[0]
    while content[start : start + 2] == b"\x02\0":
        start += 8 + struct.unpack_from("<H", content, start + 6)[0]
    bomb = write(tmp_path / "a.dcm", content[:start] + zeros(2**29, -zlib.MAX_WBITS))
    assert set(codes(classifiers, bomb)) == {"too_large"}


@pytest.mark.parametrize(
    ("syntax", "mark"), [("4.50", b"\xff\xc0"), ("4.80", b"\xff\xf7"), ("4.90", b"\xff\x4f\xff\x51")]
)
def test_a_codestream_of_another_size_is_not_decoded(
    tmp_path: Path, classifiers: dict[str, Classifier], syntax: str, mark: bytes
) -> None:
    path = dicom(tmp_path, "CT", syntax, 40)
    content = bytearray(path.read_bytes())
    at = content.rfind(mark)
    if len(mark) == 4:
        struct.pack_into(">4I", content, at + 8, 60000, 60000, 0, 0)
    else:
        struct.pack_into(">HH", content, at + 5, 65535, 65535)
    found = answer(classifiers["lung_ct"], write(path, bytes(content)))
    assert code(found) == "damaged"
    assert "picture" in str(found)


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


# --- no plain file ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".dcm", "", ".png", ".tif", ".nii", ".nii.gz", ".mha", ".mhd", ".nrrd"])
@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder", "dangling", "loop", "zero byte", "long"])
def test_what_is_no_plain_file_is_not_waited_for(
    tmp_path: Path, classifiers: dict[str, Classifier], kind: str, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a{suffix}"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        monkeypatch.chdir(tmp_path)  # their names are short
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "zero byte":
        path = tmp_path / f"a\0b{suffix}"
    else:
        path = tmp_path / ("x" * 5000 + suffix)
    assert codes(classifiers, path) == ("not_found",) * 3
    if kind != "folder":
        for classifier in classifiers.values():
            assert [code(found) for found in classifier.many([path])] == ["not_found"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the administrator reads everything")
def test_what_may_not_be_read_is_not_found(tmp_path: Path, classifiers: dict[str, Classifier]) -> None:
    path = dicom(tmp_path)
    path.chmod(0)
    assert codes(classifiers, path) == ("not_found",) * 3


def test_a_folder_of_loops_pipes_and_devices_is_walked_to_its_end(
    tmp_path: Path, classifiers: dict[str, Classifier]
) -> None:
    for name in ("pipe.dcm", "pipe", "below.png"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "itself").symlink_to(tmp_path)
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    (tmp_path / "zero.nii").symlink_to("/dev/zero")
    (tmp_path / "gone.dcm").symlink_to("nowhere")
    write(tmp_path / "deep.png", seeds.raster("PNG"))
    skipped: list[str] = []
    found = list(classifiers["chest_xray"].many([tmp_path], recursive=True, on_skip=skipped.append))
    assert [Path(one.input).name for one in found if isinstance(one, Result)] == ["deep.png"]
    assert {code(one) for one in found} <= {"result", "not_found"}
    assert {Path(name).name for name in skipped} >= {"pipe", "pipe.dcm", "zero.nii"}


@pytest.mark.parametrize(
    "name", ["a\nb\x1b[31m.png", "\udcff\udcfe.png", "\udcff\udcfe.nii", "\u202egnp.png", " .png", "-rf.png"]
)
def test_odd_names_are_names(tmp_path: Path, classifiers: dict[str, Classifier], name: str) -> None:
    content = seeds.nifti() if name.endswith(".nii") else seeds.raster("PNG")
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + os.fsencode(name)))
    try:
        write(path, content)
    except OSError:
        pytest.skip("this file system has no such names")
    assert code(answer(classifiers["brain_mri"], path)) == "result"
    assert [code(found) for found in classifiers["brain_mri"].many([tmp_path])] == ["result"]


def test_a_name_that_simpleitk_cannot_take_is_refused(tmp_path: Path, classifiers: dict[str, Classifier]) -> None:
    pytest.importorskip("SimpleITK")
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.mha"))
    try:
        write(path, seeds.metaimage())
    except OSError:
        pytest.skip("this file system has no such names")
    assert code(answer(classifiers["lung_ct"], path)) == "unsupported"
