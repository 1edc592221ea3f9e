"""The model file: what PyTorch computes, in one sealed file, at any size."""

import json

import numpy as np
import onnx
import pytest
import torch

from MonaiSKD.errors import SKDError
from MonaiSKD.export.graph import ModelGraph
from MonaiSKD.export.onnx_file import OPSET, model_bytes
from MonaiSKD.models import Classifier
from MonaiSKD.models.evidence import Evidence
from MonaiSKD.models.features import feature_maps
from MonaiSKD.models.typicality import Typicality
from MonaiSKD.reading import RULES
from MonaiSKD.runtime import open_model
from MonaiSKD.runtime.contract import CONTRACT_KEY, Contract

NAMES = ("covid", "normal", "pneumonia")


@pytest.fixture(scope="module")
def graph() -> ModelGraph:
    torch.manual_seed(0)
    network = Classifier("tf_efficientnet_lite_xs", 3, 64)
    torch.nn.init.normal_(network.backbone.get_classifier().weight, std=0.5)
    network.temperature.fill_(1.7)
    network.eval()
    features = feature_maps(network, torch.zeros(1, 1, 64, 64))
    typicality = Typicality(features.shape[1])
    evidence = Evidence(features.shape[1], 3)
    return ModelGraph(network, evidence, typicality)


@pytest.fixture(scope="module")
def contract() -> Contract:
    thresholds = dict.fromkeys(NAMES, 0.4)
    return Contract("chest_xray", "9.9", "Tést", NAMES, RULES["chest_xray"], 64, thresholds, 0.9, 1.7, 0.5)


@pytest.fixture(scope="module")
def path(graph, contract, tmp_path_factory):
    file = tmp_path_factory.mktemp("model") / "model.onnx"
    file.write_bytes(model_bytes(graph, contract, "float32"))
    return file


@torch.no_grad()
@pytest.mark.parametrize("shape", [(1, 1, 64, 64), (3, 1, 200, 131), (2, 1, 40, 90), (1, 1, 1, 1), (1, 1, 900, 7)])
def test_onnx_answers_as_pytorch_does_at_any_size(graph, path, shape) -> None:
    images = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    for ours, theirs in zip(open_model(path).run(images.numpy()), graph(images), strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-4)


def test_a_batch_answers_as_its_images_one_by_one(path) -> None:
    model = open_model(path)
    images = np.random.default_rng(0).random((5, 1, 80, 70), dtype=np.float32)
    together = model.run(images)
    for k in range(5):
        for all_of_them, alone in zip(together, model.run(images[k : k + 1]), strict=True):
            np.testing.assert_allclose(all_of_them[k], alone[0], atol=1e-5)


def test_the_contract_travels_inside(path, contract) -> None:
    assert open_model(path).contract == contract


def test_the_file_is_plain_onnx_of_opset_18_that_names_no_folder_of_this_machine(path) -> None:
    proto = onnx.load(path)
    onnx.checker.check_model(proto)
    assert [entry.version for entry in proto.opset_import if entry.domain == ""] == [OPSET]
    assert {node.domain for node in proto.graph.node} == {""}
    assert b"site-packages" not in path.read_bytes()
    assert json.loads(next(p.value for p in proto.metadata_props if p.key == CONTRACT_KEY))["name"] == "chest_xray"


def test_weights_are_stored_once_although_three_answers_are_read_off_them(graph, path) -> None:
    parameters = sum(p.numel() for p in graph.classifier.parameters())
    assert path.stat().st_size < 4 * parameters * 1.25


def test_what_is_no_image_batch_is_refused(path) -> None:
    model = open_model(path)
    for images in (np.zeros((1, 3, 8, 8), np.float32), np.zeros((8, 8), np.float32), np.zeros((1, 1, 8, 8))):
        with pytest.raises(ValueError, match="float32"):
            model.run(images)


def test_an_unknown_provider_is_refused_with_the_known_ones(path) -> None:
    with pytest.raises(SKDError, match="openvino"):
        open_model(path, provider="quantum")
