"""What is no model file of this package is refused by its checksum and metadata, whatever it is."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from tinymodel import tiny_contract, tiny_graph, write_tiny_model

from MonaiSKD.errors import SKDError
from MonaiSKD.runtime import open_model
from MonaiSKD.runtime.contract import CONTRACT_KEY, sealed

_SLOW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def refused(path: Path, code: str = "model") -> SKDError:
    with pytest.raises(SKDError) as caught:
        open_model(path, "cpu")
    assert caught.value.code == code
    assert "\n" not in str(caught.value)
    return caught.value


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def seal(path: Path, model: onnx.ModelProto, contract: Any) -> Path:
    helper.set_model_props(model, {CONTRACT_KEY: contract if isinstance(contract, str) else json.dumps(contract)})
    return write(path, sealed(model.SerializeToString()))


def test_the_tiny_model_answers_as_it_says(tiny_model: Path) -> None:
    images = np.random.default_rng(0).random((3, 1, 32, 32), dtype=np.float32)
    probabilities, heatmap, atypicality = open_model(tiny_model, "cpu").run(images)
    means = images.mean((1, 2, 3))
    np.testing.assert_allclose(probabilities, np.stack([1 - means, means], 1), atol=1e-6)
    np.testing.assert_allclose(heatmap[:, 1], images.reshape(3, 4, 8, 4, 8).mean((2, 4)), atol=1e-6)
    np.testing.assert_allclose(heatmap[:, 0], -heatmap[:, 1])
    np.testing.assert_allclose(atypicality, abs(means - 0.5), atol=1e-6)


@pytest.mark.parametrize("tiny_model", ["lung_ct"], indirect=True)
def test_the_tiny_model_comes_with_another_rule(tiny_model: Path) -> None:
    assert open_model(tiny_model, "cpu").contract.rule.modality == "lung_ct"


def test_a_foreign_onnx_file_is_refused(tmp_path: Path) -> None:
    assert "checksum" in str(refused(write(tmp_path / "a.onnx", tiny_graph().SerializeToString())))


@given(data=st.data())
@_SLOW
def test_one_changed_byte_anywhere_is_noticed(tiny_model: Path, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(tiny_model.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    refused(write(tmp_path / "a.onnx", bytes(content)))


@given(data=st.data())
@_SLOW
def test_a_cut_file_is_noticed(tiny_model: Path, tmp_path: Path, data: st.DataObject) -> None:
    content = tiny_model.read_bytes()
    refused(write(tmp_path / "a.onnx", content[: data.draw(st.integers(0, len(content) - 1))]))


@given(more=st.binary(min_size=1, max_size=200))
@_SLOW
def test_appended_bytes_are_noticed(tiny_model: Path, tmp_path: Path, more: bytes) -> None:
    refused(write(tmp_path / "a.onnx", tiny_model.read_bytes() + more))


@given(content=st.binary(max_size=300))
@_SLOW
def test_sealed_rubbish_is_refused(tmp_path: Path, content: bytes) -> None:
    refused(write(tmp_path / "a.onnx", sealed(content)))


def test_what_was_appended_and_sealed_again_counts_as_another_file(tiny_model: Path, tmp_path: Path) -> None:
    again = write(tmp_path / "a.onnx", sealed(tiny_model.read_bytes()))
    assert open_model(again, "cpu").sha256 != open_model(tiny_model, "cpu").sha256


class Explosive:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("exploded"),)


def test_a_pickle_is_refused_and_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused(write(tmp_path / "a.onnx", pickle.dumps(Explosive())))
    refused(write(tmp_path / "b.onnx", sealed(pickle.dumps(Explosive()))))
    assert not (tmp_path / "exploded").exists()


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    refused(write(tmp_path / "a.onnx", b""))


def changed(**changes: Any) -> dict[str, Any]:
    data = {**tiny_contract().to_dict(), **changes}
    return {key: value for key, value in data.items() if value is not ...}


@pytest.mark.parametrize(
    "contract",
    [
        "",
        "not JSON",
        "null",
        "[]",
        "17",
        '"text"',
        "{}",
        "[" * 100_000,
        changed(format=99),
        changed(format="1"),
        changed(name=...),
        changed(rule=...),
        changed(rule=None),
        changed(rule={"modality": "knee", "window": [0, 1]}),
        changed(rule={"modality": "lung_ct", "window": [1, 0]}),
        changed(rule={"modality": "lung_ct", "window": "ab"}),
        changed(class_names=["one"]),
        changed(class_names=17),
        changed(thresholds={"dark": 0.5}),
        changed(thresholds=None),
        changed(unknown=1),
        changed(class_names=["a", "b", "c"], thresholds={"a": 0.5, "b": 0.5, "c": 0.5}),
    ],
    ids=lambda contract: str(contract)[:40],
)
def test_metadata_that_is_not_understood_is_refused(tmp_path: Path, contract: Any) -> None:
    refused(seal(tmp_path / "a.onnx", tiny_graph(), contract))


def test_a_sealed_model_without_metadata_is_refused(tmp_path: Path) -> None:
    refused(write(tmp_path / "a.onnx", sealed(tiny_graph().SerializeToString())))


@pytest.mark.parametrize("name", ["image", "probabilities", "heatmap", "atypicality"])
def test_other_inputs_and_outputs_are_refused(tmp_path: Path, name: str) -> None:
    model = tiny_graph()
    for value in (*model.graph.input, *model.graph.output):
        if value.name == name:
            value.name = "other"
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["other" if entry == name else entry for entry in names]
    refused(seal(tmp_path / "a.onnx", model, tiny_contract().to_dict()))


def test_a_missing_output_is_refused(tmp_path: Path) -> None:
    model = tiny_graph()
    del model.graph.output[1]
    refused(seal(tmp_path / "a.onnx", model, tiny_contract().to_dict()))


def test_values_in_another_file_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(np.float32(0.5).tobytes())
    model = tiny_graph()
    half = next(entry for entry in model.graph.initializer if entry.name == "half")
    half.ClearField("raw_data")
    half.ClearField("float_data")
    half.data_location = TensorProto.EXTERNAL
    entry = half.external_data.add()
    entry.key, entry.value = "location", "secret.bin"
    path = seal(tmp_path / "a.onnx", model, tiny_contract().to_dict())
    here = Path.cwd()
    os.chdir(tmp_path)  # a relative name must not be found from here either
    try:
        refused(path)
    finally:
        os.chdir(here)


@pytest.mark.parametrize("kind", ["absent", "folder", "pipe", "loop", "zero byte"])
def test_what_is_no_file_is_not_found(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.onnx"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "zero byte":
        path = tmp_path / "a\0.onnx"
    refused(path, "not_found")


def test_a_model_for_another_modality_keeps_its_own_rule(tmp_path: Path) -> None:
    written = write_tiny_model(tmp_path / "a.onnx", "brain_mri", version="9.9")
    contract = open_model(written, "cpu").contract
    assert (contract.rule.modality, contract.version) == ("brain_mri", "9.9")
