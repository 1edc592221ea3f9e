"""Names of files and classes that an output cannot write, or that are not UTF-8, as the command line meets them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def command(*arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Of a real child process: names are bytes there."""
    whole = [sys.executable, "-m", "MonaiSKD", *(os.fsencode(str(argument)) for argument in arguments)]
    return subprocess.run(whole, capture_output=True, env=os.environ | environment, timeout=300)


@pytest.fixture
def leaky(phantoms: Path, tmp_path: Path) -> Path:
    """Phantoms with a class of a name that few encodings have, and one picture in two splits."""
    folder = Path(shutil.copytree(phantoms, tmp_path / "data"))
    for ring in folder.glob("*/ring"):
        ring.rename(ring.with_name("≥ring"))
    picture, *_ = sorted((folder / "train" / "≥ring").iterdir())
    shutil.copy(picture, folder / "test" / "≥ring" / "copy.png")
    return folder


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("cp1252", "\\u2265ring"),
        ("ascii:surrogateescape", "\\u2265ring"),
        ("cp1252:replace", "?ring"),
        ("utf-8", "≥ring"),
    ],
)
def test_what_the_output_cannot_write_is_escaped_and_changes_no_exit_code(
    leaky: Path, encoding: str, shown: str
) -> None:
    done = command("check-data", leaky, "--modality", "brain_mri", PYTHONIOENCODING=encoding)
    assert done.returncode == 3, done.stderr
    assert shown in done.stdout.decode()


@pytest.fixture
def undecoded(tmp_path: Path) -> Path:
    """The test's folder, on a file system that has names which are not UTF-8."""
    try:
        (tmp_path / os.fsdecode(b"l\xe4uf")).mkdir()
    except OSError:
        pytest.skip("the file system has no names but UTF-8")
    return tmp_path


def test_a_run_folder_whose_name_is_not_utf8_is_refused_before_the_training(phantoms: Path, undecoded: Path) -> None:
    out = undecoded / os.fsdecode(b"l\xe4uf") / "run"
    done = command("train", "brain_mri", phantoms, "--out", out)
    assert done.returncode == 2
    assert b"its name is not UTF-8. Rename it, or use another folder." in done.stderr
    assert not out.exists()


def test_classes_whose_name_is_not_utf8_are_refused_before_the_work(phantoms: Path, undecoded: Path) -> None:
    shutil.copytree(phantoms / "train", undecoded / "data")
    (undecoded / "data" / "ring").rename(undecoded / "data" / os.fsdecode(b"ring\xe4"))
    images = sorted((phantoms / "train").glob("*/*.png"))
    entries = [{"image": str(image), "label": image.parent.name.replace("ring", "ring\ud800")} for image in images]
    (undecoded / "data.json").write_text(json.dumps({"training": entries}))
    for data, shown in (("data", b"ring\\udce4"), ("data.json", b"training entry")):
        for more in (["check-data"], ["train", "brain_mri"]):
            done = command(*more, undecoded / data, *(["--out", undecoded / "run"] if "train" in more else []))
            assert done.returncode == 2, done.stderr
            assert shown in done.stderr
            assert b"its name is not UTF-8. Rename it." in done.stderr
    assert not (undecoded / "run").exists()


def test_images_and_folders_of_data_may_have_any_name(phantoms: Path, undecoded: Path) -> None:
    data, more = (undecoded / os.fsdecode(name) for name in (b"d\xe4ta", b"m\xf6re"))
    shutil.copytree(phantoms, data)
    shutil.copytree(phantoms / "train" / "ring", more)
    image, *_ = sorted((data / "train" / "ring").iterdir())
    image.rename(image.with_name(os.fsdecode(b"\xfc.png")))
    (data / "train" / "ring" / os.fsdecode(b"\xff.png")).write_bytes(b"broken")
    done = command("check-data", data, "--modality", "brain_mri", "--json", undecoded / "r.json")
    assert done.returncode == 2
    assert b"1 unusable file" in done.stdout
    assert any(
        os.fsencode(path).endswith(b"\xff.png") for path in json.loads((undecoded / "r.json").read_text())["unreadable"]
    )
    (data / "train" / "ring" / os.fsdecode(b"\xff.png")).unlink()
    fast = ["epochs=1", "feature_epochs=0", "finetune_epochs=0", "compensation_images=4", "batch_size=8"]
    options = [
        "--image-size",
        32,
        "--quiet",
        *(f"--set={text}" for text in [*fast, "allow_leaks=true"]),
    ]
    done = command("train", "brain_mri", data, "--out", undecoded / "run", *options)
    assert done.returncode == 0, done.stderr
    done = command("train", "brain_mri", data, "--out", undecoded / "other", *options, "--unlabeled", more)
    assert done.returncode == 2
    assert b"option 'unlabeled': it cannot be" in done.stderr
    assert b"Use a path, or null (names in UTF-8)" in done.stderr
