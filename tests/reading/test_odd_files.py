"""Pipes, sockets, devices, loops and odd names: none is waited for, none keeps the others from being read."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from answered import answer, code, codes, dicom, write
from fuzz import seeds

from MonaiSKD.runtime import Classifier, Result


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
