"""The model files that the bundles ship: whole, true to their metadata, and as good on real images as they say."""

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from MonaiSKD import Classifier
from MonaiSKD.bundle import list_bundles
from MonaiSKD.datasets.phantoms import PHANTOM_CLASSES, make_phantom
from MonaiSKD.engines import load_weights
from MonaiSKD.models import Classifier as Network
from MonaiSKD.reading import RULES, Image, canonicalise

BUNDLES = {bundle.name: bundle for bundle in list_bundles()}
DATA = {"chest_xray": "cxr", "lung_ct": "ct", "brain_mri": "mri"}
pytestmark = pytest.mark.parametrize("name", BUNDLES)


@pytest.fixture
def classifier(name) -> Classifier:
    return Classifier(name, threads=2)


def test_the_file_says_what_the_bundle_says(name, classifier) -> None:
    contract, bundle = classifier.contract, BUNDLES[name]
    assert (contract.name, contract.version) == (name, bundle.metadata["version"])
    assert list(contract.class_names) == bundle.config["class_names"]
    assert contract.rule == RULES[name]
    assert contract.image_size == bundle.recipe["image_size"]
    assert contract.student == bundle.recipe["student"]
    assert "not for clinical use" in contract.intended_use
    assert (bundle.folder / "models" / "model.onnx").stat().st_size < 4e6


def test_the_weights_and_the_file_are_one_network_and_the_metadata_has_its_metrics(name, classifier) -> None:
    bundle, contract = BUNDLES[name], classifier.contract
    network = Network(contract.student, len(contract.class_names), contract.image_size).eval()
    load_weights(network, bundle.folder / "models" / "model.pt")
    phantom = make_phantom(name, PHANTOM_CLASSES[name][0], np.random.default_rng(0), size=192)
    pixels = canonicalise(phantom.pixels, RULES[name])
    with torch.no_grad():
        expected = network(torch.from_numpy(pixels)[None]).softmax(1)[0].numpy()
    found = classifier.classify(Image(pixels, None, "phantom", ())).probabilities
    assert [found[label] for label in contract.class_names] == pytest.approx(expected, abs=0.01)  # 16 bits a weight
    for split in ("val", "test"):
        for metric in ("balanced_accuracy", "macro_auc", "ece"):
            stated = bundle.metadata["metrics"][split][metric]
            assert stated == pytest.approx(contract.metrics[split][metric], abs=1e-4)


def test_a_phantom_of_another_modality_is_atypical(name, classifier) -> None:
    other = "lung_ct" if name == "chest_xray" else "chest_xray"
    phantom = make_phantom(other, "normal", np.random.default_rng(0), size=192)
    pixels = canonicalise(phantom.pixels, RULES[other])
    assert classifier.classify(Image(pixels, None, "phantom", ())).atypical


@pytest.fixture(scope="module")
def answers(shared):
    """Of each model on the test images of each collection, once."""
    found = {}

    def ask(name, collection):
        if (name, collection) not in found:
            files = sorted(p for p in (shared / "data" / DATA[collection] / "test").glob("*/*") if p.is_file())
            results = list(Classifier(name, threads=2).many(files))
            found[name, collection] = ([path.parent.name for path in files], results)
        return found[name, collection]

    return ask


def test_it_is_as_good_on_the_test_images_as_it_says(name, classifier, answers) -> None:
    labels, results = answers(name, name)
    recalls = [
        np.mean([result.label == label for label, result in zip(labels, results, strict=True) if label == of_class])
        for of_class in classifier.contract.class_names
    ]
    stated = classifier.contract.metrics["test"]
    assert stated["n"] == len(labels)
    # One image that float16 weights turn over moves it by less than this.
    assert np.mean(recalls) == pytest.approx(stated["balanced_accuracy"]["value"], abs=0.01)


def test_at_most_one_in_twenty_of_its_own_test_images_is_called_atypical(name, answers) -> None:
    _, results = answers(name, name)
    assert np.mean([result.atypical for result in results]) <= 0.05


def test_the_other_collections_are_told_from_its_own(name, answers) -> None:
    own = [result.atypicality for result in answers(name, name)[1]]
    others = [result.atypicality for other in DATA if other != name for result in answers(name, other)[1]]
    truth = [0] * len(own) + [1] * len(others)
    assert roc_auc_score(truth, own + others) >= 0.98


def test_the_metrics_inside_are_plain_json(name, classifier) -> None:
    assert json.loads(json.dumps(classifier.contract.metrics)) == classifier.contract.metrics
