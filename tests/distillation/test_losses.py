"""The losses, on cases small enough to work out by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from MonaiSKD.distillation import class_weights, couple, feature_loss, label_loss, logit_loss, sigmoid_ramp, standardise
from MonaiSKD.distillation.features import similarity_loss


def test_class_weights_average_to_one_over_the_images():
    weights = class_weights([30, 10])
    assert weights.tolist() == pytest.approx([2 / 3, 2.0])
    assert (30 * weights[0] + 10 * weights[1]) / 40 == pytest.approx(1.0)


def test_label_loss_is_weighted_and_ignores_unlabeled_images():
    logits = torch.tensor([[0.0, 0.0], [math.log(3.0), 0.0], [5.0, -5.0]])
    labels = torch.tensor([0, 1, -1])
    # -ln(1/2) with weight 1, -ln(1/4) with weight 2, over the two labeled images.
    expected = (math.log(2) + 2 * math.log(4)) / 2
    assert float(label_loss(logits, labels, torch.tensor([1.0, 2.0]))) == pytest.approx(expected, rel=1e-6)


def test_label_loss_of_only_unlabeled_images_is_zero():
    assert float(label_loss(torch.randn(3, 2), torch.tensor([-1, -1, -1]), torch.ones(2))) == 0.0


@given(scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_standardised_logits_do_not_know_scale_or_offset(scale, shift):
    logits = torch.tensor([[0.0, 1.0, 5.0], [2.0, -1.0, 0.5]])
    assert torch.allclose(standardise(scale * logits + shift), standardise(logits), atol=1e-3)


def test_logit_loss_by_hand():
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[2 * math.log(3.0), 0.0]])
    # At temperature 2 the teacher says (3/4, 1/4), the student (1/2, 1/2): 4 * KL.
    expected = 4 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    assert float(logit_loss(student, teacher, temperature=2.0)) == pytest.approx(expected, rel=1e-5)


def test_two_classes_are_compared_unstandardised():
    sure, unsure = torch.tensor([[8.0, 0.0]]), torch.tensor([[0.5, 0.0]])
    assert float(logit_loss(unsure, sure)) > 0.1
    three = torch.nn.functional.pad(sure, (0, 1)), torch.nn.functional.pad(unsure, (0, 1))
    assert float(logit_loss(*three, standardised=True)) < float(logit_loss(*three, standardised=False))


def test_logit_loss_sends_no_gradient_to_the_teacher():
    student, teacher = torch.randn(2, 4, requires_grad=True), torch.randn(2, 4, requires_grad=True)
    logit_loss(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad is not None


def test_couple_chooses_whom_each_student_follows():
    a, b = torch.zeros(1, 2), torch.ones(1, 2)
    assert [t.mean().item() for t in couple([a, b], "own")] == [0, 1]
    assert [t.mean().item() for t in couple([a, b], "cross")] == [1, 0]
    assert [t.mean().item() for t in couple([a, b], "mean")] == [0.5, 0.5]
    with pytest.raises(ValueError, match="friend"):
        couple([a, b], "friend")


def test_feature_loss_is_zero_for_the_normalised_teacher_only():
    teacher = torch.randn(2, 5, 8) * 3 + 1
    target = torch.nn.functional.layer_norm(teacher, (8,))
    assert float(feature_loss(target, teacher)) == pytest.approx(0.0, abs=1e-6)
    assert float(feature_loss(teacher, teacher)) > 0.01


def test_feature_loss_compares_pooled_vectors_when_the_grids_differ():
    teacher = torch.randn(2, 9, 8)
    pooled = torch.nn.functional.layer_norm(teacher, (8,)).mean(1, keepdim=True)
    assert float(feature_loss(pooled.expand(-1, 4, -1), teacher)) == pytest.approx(0.0, abs=1e-6)


def test_ramp_rises_to_one_and_stays():
    values = [sigmoid_ramp(step, 10) for step in range(12)]
    assert values[0] == pytest.approx(math.exp(-5))
    assert values == sorted(values)
    assert values[10:] == [1.0, 1.0]
    assert sigmoid_ramp(0, 0) == 1.0


def test_similarities_compare_relations_and_not_directions():
    vectors = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]])
    turned = vectors @ torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    assert float(similarity_loss(2 * turned, vectors)) == pytest.approx(0.0, abs=1e-6)
    assert float(similarity_loss(vectors.flip(0), vectors)) > 0.1


def test_similarities_by_hand():
    # Rows (1, 0), (0, 1) against (1, 1) / sqrt(2) twice: each differs by (1 - 1/sqrt(2))^2 + 1/2.
    expected = (1 - 1 / math.sqrt(2)) ** 2 + 0.5
    assert float(similarity_loss(torch.eye(2), torch.ones(2, 2))) == pytest.approx(expected, rel=1e-6)


def test_similarities_count_in_the_feature_loss_by_their_weight():
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(4, 3, 5, generator=generator) for _ in range(2))
    alone, half, whole = (float(feature_loss(student, teacher, weight)) for weight in (0.0, 0.5, 1.0))
    assert whole - alone == pytest.approx(2 * (half - alone), rel=1e-4)
    assert whole > alone
