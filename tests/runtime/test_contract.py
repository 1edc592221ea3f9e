"""The contract inside a model file, and the seal behind it."""

from __future__ import annotations

import hashlib
import json

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinymodel import tiny_contract, tiny_graph, write_tiny_model

from MonaiSKD.errors import SKDError
from MonaiSKD.reading import RULES, CanonicalRule
from MonaiSKD.runtime.contract import DIGEST_KEY, FORMAT, Contract, read_contract, sealed, unsealed


@pytest.mark.parametrize("rule", list(RULES))
def test_a_contract_survives_the_way_through_json(rule):
    contract = tiny_contract(rule, teacher={"name": "t", "licence": "MIT"}, versions={"torch": "2.8"}, precision="int8")
    read = Contract.from_dict(json.loads(json.dumps(contract.to_dict())))
    assert read == contract
    assert (read.class_names, read.rule) == (("dark", "bright"), RULES[rule])
    assert isinstance(read.rule, CanonicalRule)


def test_what_a_contract_leaves_open_has_a_default():
    data = tiny_contract().to_dict()
    for name in ("precision", "student", "teacher", "training_data_sha256", "metrics", "versions", "intended_use"):
        del data[name]
    del data["format"], data["seed"]
    read = Contract.from_dict(data)
    assert (read.precision, read.teacher, read.seed, read.format) == ("float32", {}, 0, FORMAT)
    assert read.intended_use == "research; not for clinical use"


@pytest.mark.parametrize("other", [0, FORMAT + 1, "1", None])
def test_a_contract_of_another_format_is_refused(other):
    with pytest.raises(ValueError, match="its format is"):
        Contract.from_dict({**tiny_contract().to_dict(), "format": other})


def test_an_unknown_entry_is_refused_and_named():
    with pytest.raises(ValueError, match=r"not understood.*colour"):
        Contract.from_dict({**tiny_contract().to_dict(), "colour": "red"})


@pytest.mark.parametrize("name", ["name", "class_names", "rule", "thresholds", "atypicality_threshold", "image_size"])
def test_an_absent_entry_is_refused_and_named(name):
    data = tiny_contract().to_dict()
    del data[name]
    with pytest.raises(ValueError, match=f"not understood.*{name}"):
        Contract.from_dict(data)


@pytest.mark.parametrize(
    ("name", "value"),
    [("rule", None), ("rule", {"modality": "knee"}), ("rule", {"modality": "lung_ct"}), ("class_names", 3)],
)
def test_an_entry_of_the_wrong_kind_is_refused(name, value):
    with pytest.raises(ValueError, match="not understood"):
        Contract.from_dict({**tiny_contract().to_dict(), name: value})


@pytest.mark.parametrize(
    ("classes", "thresholds"),
    [
        (("dark", "bright"), {"dark": 0.5}),
        (("dark", "bright"), {"dark": 0.5, "bright": 0.5, "grey": 0.5}),
        (("dark", "bright"), {"dark": 0.5, "Bright": 0.5}),
        (("dark",), {"dark": 0.5}),
        ((), {}),
    ],
)
def test_classes_and_thresholds_that_disagree_are_refused(classes, thresholds):
    with pytest.raises(ValueError, match="disagree"):
        tiny_contract(class_names=classes, thresholds=thresholds)


@given(st.binary(max_size=300))
def test_what_is_sealed_tells_its_own_digest(content: bytes):
    assert sealed(content).startswith(content)
    assert unsealed(sealed(content)) == hashlib.sha256(content).hexdigest()


@given(st.binary(max_size=200), st.data())
def test_one_changed_byte_breaks_the_seal(content: bytes, data: st.DataObject):
    whole = bytearray(sealed(content))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match=r"its checksum does not match|it carries no checksum"):
        unsealed(bytes(whole))


@given(st.binary(max_size=200), st.data())
def test_a_cut_file_breaks_the_seal(content: bytes, data: st.DataObject):
    whole = sealed(content)
    with pytest.raises(ValueError, match="checksum"):
        unsealed(whole[: data.draw(st.integers(0, len(whole) - 1))])


def test_what_was_never_sealed_is_foreign():
    with pytest.raises(ValueError, match="no part of this package wrote it"):
        unsealed(b"x" * 500)


def test_a_sealed_model_is_still_a_valid_onnx_model_and_carries_its_digest():
    plain = tiny_graph().SerializeToString()
    model = onnx.load_from_string(sealed(plain))
    onnx.checker.check_model(model)
    assert {entry.key: entry.value for entry in model.metadata_props} == {DIGEST_KEY: hashlib.sha256(plain).hexdigest()}


def test_a_contract_is_read_without_opening_the_model(tmp_path):
    path = write_tiny_model(tmp_path / "model.onnx", "lung_ct")
    assert read_contract(path) == tiny_contract("lung_ct")


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda path: path.unlink(), "not_found", "cannot be read .* and the permissions"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "model", "carries no checksum"),
        (lambda path: path.write_bytes(sealed(tiny_graph().SerializeToString())), "model", "holds no contract"),
        (lambda path: path.write_bytes(sealed(b"\x0b\x08")), "model", "unknown kind"),
        (lambda path: path.write_bytes(sealed(b"\x72\xff\xff\x7f")), "model", "ends too early"),
        (lambda path: path.write_bytes(b""), "model", "carries no checksum"),
    ],
)
def test_a_file_without_a_contract_is_refused(tmp_path, change, code, words):
    path = write_tiny_model(tmp_path / "model.onnx")
    change(path)
    with pytest.raises(SKDError, match=words) as caught:
        read_contract(path)
    assert caught.value.code == code


@given(st.binary(max_size=40))
def test_no_sealed_bytes_bring_anything_but_a_refusal(tmp_path_factory, content: bytes):
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    path.write_bytes(sealed(content))
    with pytest.raises(SKDError, match="is not a model file"):
        read_contract(path)
