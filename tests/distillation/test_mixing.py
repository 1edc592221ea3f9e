"""Mixed images have mixed labels, in the same shares, and every view is mixed alike."""

import pytest
import torch

from MonaiSKD.distillation import Mixing, label_loss


def batch() -> dict[str, torch.Tensor]:
    """Image n is n everywhere, its second view n + 10."""
    values = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 8, 8)
    return {"image": values, "image_2": values + 10, "label": torch.tensor([0, 1, 2, 3])}


@pytest.mark.parametrize("way", ["mixup", "cutmix"])
def test_labels_hold_the_shares_of_the_images(way):
    torch.manual_seed(3)
    mixed = Mixing(4, **{way: 1.0})(batch())
    assert not torch.equal(mixed["image"], batch()["image"])
    # The mean of an image is the mean of its classes' numbers, weighted by their shares.
    expected = mixed["label"] @ torch.arange(4.0)
    assert torch.allclose(mixed["image"].mean((1, 2, 3)), expected, atol=1e-5)
    assert torch.allclose(mixed["image_2"], mixed["image"] + 10, atol=1e-5)


def test_without_mixing_the_batch_stays():
    given = batch()
    assert Mixing(4)(given) is given


def test_one_image_alone_has_no_neighbour():
    one = {name: value[:1] for name, value in batch().items()}
    mixed = Mixing(4, mixup=1.0)(one)
    assert torch.equal(mixed["image"], one["image"])
    assert mixed["label"].tolist() == [[1, 0, 0, 0]]


def test_images_without_labels_are_refused():
    with pytest.raises(ValueError, match="unlabeled_in"):
        Mixing(4, mixup=1.0)({**batch(), "label": torch.tensor([0, 1, -1, 2])})


def test_shares_cost_what_the_labels_cost_in_these_shares():
    logits = torch.tensor([[1.0, 0.0, -1.0]])
    weights = torch.tensor([1.0, 2.0, 0.5])
    first, second = (label_loss(logits, torch.tensor([label]), weights) for label in (0, 2))
    shared = label_loss(logits, torch.tensor([[0.25, 0.0, 0.75]]), weights)
    assert float(shared) == pytest.approx(float(0.25 * first + 0.75 * second), rel=1e-6)
