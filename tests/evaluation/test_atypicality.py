from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from MonaiSKD.datasets.phantoms import PHANTOM_CLASSES, make_phantom
from MonaiSKD.errors import SKDError
from MonaiSKD.evaluation import fit_typicality, measure_atypicality
from MonaiSKD.evaluation import outliers as outliers_module
from MonaiSKD.models import Classifier
from MonaiSKD.models.classifier import resize
from MonaiSKD.models.typicality import LIMIT, Typicality
from MonaiSKD.reading import RULES, Modality, canonicalise

SIDE, CPU = 64, torch.device("cpu")
VALIDATION = 30
JUST_BELOW = 0.4975  # the sigmoid of the margin, -0.01


@functools.lru_cache
def phantoms(modality: Modality, count: int, seed: int) -> list[Tensor]:
    generator, labels = np.random.default_rng(seed), PHANTOM_CLASSES[modality]
    drawn = [make_phantom(modality, labels[k % len(labels)], generator, size=SIDE).pixels for k in range(count)]
    images = [torch.from_numpy(canonicalise(pixels, RULES[modality]).astype(np.float32)) for pixels in drawn]
    return [resize(image[None], SIDE)[0] for image in images]


@pytest.fixture(scope="module", autouse=True)
def _fewer_phantoms() -> Iterator[None]:
    """Twenty of a kind do here; drawing 150 takes seconds."""
    whole = outliers_module._phantoms
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outliers_module, "_phantoms", lambda modality, count, *rest: whole(modality, 20, *rest))
        yield


@pytest.fixture(scope="module")
def network() -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Classifier("tf_efficientnet_lite_xs", 2, SIDE).eval()


def fitted(network: Classifier) -> Typicality:
    training, validation = phantoms("brain_mri", 60, 1), phantoms("brain_mri", VALIDATION, 2)
    return fit_typicality(network, training, validation, "brain_mri", CPU, seed=3)


@pytest.fixture(scope="module")
def typicality(network: Classifier) -> Typicality:
    return fitted(network)


def test_the_same_seed_gives_the_same_fit_and_the_global_state_stays(
    network: Classifier, typicality: Typicality
) -> None:
    torch.manual_seed(7)
    before, weights = torch.get_rng_state(), {key: value.clone() for key, value in network.state_dict().items()}
    again = fitted(network)
    assert torch.equal(torch.get_rng_state(), before)
    for key, value in typicality.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key
    assert all(torch.equal(value, weights[key]) for key, value in network.state_dict().items())


def test_the_fit_is_ready_for_use(typicality: Typicality) -> None:
    assert not typicality.training
    assert not any(parameter.requires_grad for parameter in typicality.parameters())


def test_of_few_validation_images_none_lies_beyond_the_limit(network: Classifier, typicality: Typicality) -> None:
    values = measure_atypicality(network, typicality, phantoms("brain_mri", VALIDATION, 2), CPU)
    assert values.shape == (VALIDATION,)
    assert values.min() >= 0
    assert float(values.max()) == pytest.approx(JUST_BELOW, abs=1e-4)


def test_of_a_hundred_and_two_validation_images_the_second_is_just_below_the_limit(network: Classifier) -> None:
    training, validation = phantoms("brain_mri", 60, 1), phantoms("brain_mri", 102, 2)
    typicality = fit_typicality(network, training, validation, "brain_mri", CPU, seed=3)
    values = measure_atypicality(network, typicality, validation, CPU).sort().values
    assert float(values[-2]) == pytest.approx(JUST_BELOW, abs=1e-4)


@pytest.mark.parametrize("kind", ["lung_ct", "chest_xray", "noise", "blank"])
def test_other_images_lie_above(network: Classifier, typicality: Typicality, kind: str) -> None:
    strange = {
        "lung_ct": lambda: phantoms("lung_ct", 12, 3),
        "chest_xray": lambda: phantoms("chest_xray", 12, 3),
        "noise": lambda: list(torch.rand(20, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))),
        "blank": lambda: [torch.full((1, SIDE, SIDE), level / 19) for level in range(20)],
    }[kind]()
    unseen = phantoms("brain_mri", 20, 4)
    values = measure_atypicality(network, typicality, [*unseen, *strange], CPU)
    assert roc_auc_score([0] * len(unseen) + [1] * len(strange), values) > 0.95
    assert float((values[len(unseen) :] > LIMIT).float().mean()) > 0.8


@pytest.mark.parametrize(("training", "validation"), [(1, 5), (5, 0), (0, 0)])
def test_too_few_images_are_refused(network: Classifier, training: int, validation: int) -> None:
    images = phantoms("brain_mri", 60, 1)
    with pytest.raises(SKDError, match="training and validation images"):
        fit_typicality(network, images[:training], images[:validation], "brain_mri", CPU)


def test_two_training_images_and_one_for_validation_are_enough(network: Classifier) -> None:
    images = phantoms("brain_mri", 60, 1)
    typicality = fit_typicality(network, images[:2], images[2:3], "brain_mri", CPU)
    assert all(bool(value.isfinite().all()) for value in typicality.state_dict().values())
    assert measure_atypicality(network, typicality, images[2:3], CPU).tolist() == [pytest.approx(JUST_BELOW, abs=1e-4)]
