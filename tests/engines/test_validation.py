import math

import pytest
import torch

from MonaiSKD.engines import ValidationScore
from MonaiSKD.errors import SKDError

LOGITS = torch.log(torch.tensor([[0.8, 0.2], [0.6, 0.4], [0.7, 0.3], [0.1, 0.9]]))
LABELS = torch.tensor([0, 0, 1, 1])


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        ("balanced_accuracy", 0.75),
        # Of the four pairs (positive, negative) the scores 0.3 and 0.9 against 0.2 and 0.4 order three rightly.
        ("auc", 0.75),
        ("log_likelihood", sum(map(math.log, (0.8, 0.6, 0.3, 0.9))) / 4),
    ],
)
def test_scores_over_several_batches(statistic, expected):
    score = ValidationScore(statistic)
    score.update((LOGITS[:3], LABELS[:3]))
    score.update((LOGITS[3:], LABELS[3:]))
    assert score.compute() == pytest.approx(expected)
    score.reset()
    score.update((LOGITS, LABELS))
    assert score.compute() == pytest.approx(expected)


def test_the_auc_of_three_classes_leaves_out_the_absent_one():
    score = ValidationScore("auc")
    score.update((torch.nn.functional.pad(LOGITS, (0, 1), value=-20.0), LABELS))
    assert score.compute() == pytest.approx(0.75)


@pytest.mark.parametrize("statistic", ["auc", "balanced_accuracy", "log_likelihood"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_training_that_diverged_is_told_as_such(statistic, value):
    score = ValidationScore(statistic)
    score.update((torch.full_like(LOGITS, value), LABELS))
    with pytest.raises(SKDError, match=r"diverged.*smaller learning rate.*float32"):
        score.compute()
