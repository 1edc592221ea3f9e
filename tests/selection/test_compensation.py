from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from MonaiSKD.errors import SKDError
from MonaiSKD.selection import CompensationReport, compensate, make_plan
from MonaiSKD.selection.least_squares import RidgeSums

Build = Callable[..., nn.Module]


def run(
    teacher: nn.Module, student: nn.Module, images: Tensor, ridge: float = 0.1, **rule: str
) -> tuple[dict[str, Tensor], CompensationReport]:
    plan = make_plan(teacher, student, **rule)  # type: ignore[arg-type]
    return compensate(teacher, student, plan, images, ridge=ridge, batch_size=5)


def test_ridge_by_hand() -> None:
    sums = RidgeSums()
    # One input x = -1, 1 and missing output 3x + 5, in two portions.
    sums.add(torch.tensor([[-1.0]]), torch.tensor([[2.0]]))
    sums.add(torch.tensor([[1.0]]), torch.tensor([[8.0]]))
    # Variance 1, covariance 3: slope 3 / (1 + ridge); the intercept is free.
    correction = sums.solve(0.5, intercept=True)
    assert correction.weight.item() == pytest.approx(2.0)
    assert correction.bias.item() == pytest.approx(5.0)
    assert correction.covariance.item() == pytest.approx(1.0)
    assert sums.solve(0.5, intercept=False).bias.item() == 0.0


def test_inputs_that_are_always_zero_change_nothing() -> None:
    sums = RidgeSums()
    sums.add(torch.zeros(4, 3), torch.ones(4, 2))
    correction = sums.solve(1e-2, intercept=True)
    assert torch.equal(correction.weight, torch.zeros(2, 3, dtype=torch.float64))
    assert torch.equal(correction.bias, torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("scale", [None, 0.1])
def test_every_read_out_of_a_vit_comes_nearer(vit: Build, scale: float | None) -> None:
    teacher = vit(init_values=scale)
    student = vit(1, embed_dim=12, num_heads=3, depth=2, init_values=scale)
    state, report = run(teacher, student, torch.randn(12, 3, 32, 32), depth="ends")
    places = [(error.block, error.readout) for error in report.errors]
    assert places == [(f"blocks.{block}", readout) for block in range(2) for readout in ("attn.proj", "mlp.fc2")]
    assert all(error.after < error.before for error in report.errors)
    assert state.keys() == student.state_dict().keys()


def test_every_read_out_of_a_convnext_comes_nearer(convnext: Build) -> None:
    student = convnext(1, dims=(4, 6, 8, 12), conv_mlp=True)
    _, report = run(convnext(), student, torch.randn(12, 3, 64, 64))
    assert len(report.errors) == 7
    assert all(error.after < error.before for error in report.errors)


def test_every_read_out_of_an_efficientnet_comes_nearer(efficientnet: Build) -> None:
    _, report = run(efficientnet(), efficientnet(1, width=8), torch.randn(12, 3, 64, 64))
    assert [error.readout for error in report.errors] == ["conv_pw"] + ["conv_pwl"] * 4
    assert all(error.after < error.before for error in report.errors)


def test_duplicated_hidden_units_of_a_vit_are_merged_exactly(vit: Build) -> None:
    """Each hidden unit has a twin with another read-out; the student keeps one of the two, and can do all of it."""
    teacher, student = vit(init_values=0.1), vit(1, mlp_ratio=2, init_values=0.1)
    for block in range(3):
        for tensor in ("weight", "bias"):
            layer = teacher.state_dict()[f"blocks.{block}.mlp.fc1.{tensor}"]
            layer[1::2] = layer[::2]
    state, report = run(teacher, student, torch.randn(20, 3, 32, 32), ridge=1e-9)
    assert min(error.before for error in report.errors[1:]) > 1e-2
    assert max(error.after for error in report.errors) < 1e-4
    images = torch.randn(2, 3, 32, 32)
    student.load_state_dict(state)
    with torch.inference_mode():
        wanted, got = teacher.forward_features(images), student.eval().forward_features(images)  # type: ignore[operator]
    torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-3)


def test_duplicated_channels_of_an_efficientnet_are_merged_exactly(efficientnet: Build) -> None:
    teacher, student = efficientnet(expansion=4), efficientnet(1, expansion=2)
    for key, tensor in teacher.state_dict().items():
        inner = ("conv_pw.", "bn1.", "conv_dw.", "bn2.")
        if key.startswith(("blocks.1", "blocks.2")) and any(part in key for part in inner) and tensor.ndim:
            tensor[1::2] = tensor[::2]
    state, report = run(teacher, student, torch.randn(12, 3, 64, 64), ridge=1e-9)
    assert max(error.after for error in report.errors) < 1e-4 < min(error.before for error in report.errors[1:])
    student.load_state_dict(state)
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        wanted, got = teacher.forward_features(images), student.eval().forward_features(images)  # type: ignore[operator]
    torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-3)


def test_normalisations_hold_the_statistics_of_their_input(efficientnet: Build) -> None:
    images = torch.randn(12, 3, 64, 64)
    student = efficientnet(1, width=8)
    state, _ = run(efficientnet(), student, images)
    student.load_state_dict(state)
    seen: list[Tensor] = []
    student.get_submodule("blocks.1.0.conv_pwl").register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.inference_mode():
        student.eval()(images)
    norm = student.get_submodule("blocks.1.0.bn3")
    torch.testing.assert_close(seen[0].mean((0, 2, 3)), norm.running_mean, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(seen[0].var((0, 2, 3), correction=0), norm.running_var, rtol=1e-3, atol=1e-4)


def test_nothing_handed_in_is_changed(vit: Build) -> None:
    teacher, student = vit(init_values=0.1).train(), vit(1, embed_dim=12, num_heads=3).train()
    before = [{key: tensor.clone() for key, tensor in model.state_dict().items()} for model in (teacher, student)]
    state, _ = run(teacher, student, torch.randn(3, 3, 32, 32))
    for model, copies in zip((teacher, student), before, strict=True):
        assert all(torch.equal(tensor, copies[key]) for key, tensor in model.state_dict().items())
        assert all(module.training for module in model.modules())
    assert torch.equal(state["head.weight"], before[1]["head.weight"])
    assert state["head.weight"].data_ptr() != student.state_dict()["head.weight"].data_ptr()


def test_the_report_as_data(vit: Build) -> None:
    _, report = run(vit(), vit(1, embed_dim=12, num_heads=3), torch.randn(3, 3, 32, 32))
    first = report.errors[0]
    assert report.to_dict()[0] == {
        "block": "blocks.0", "readout": "attn.proj", "before": first.before, "after": first.after,
    }  # fmt: skip


def test_what_cannot_be_compared_is_refused(vit: Build) -> None:
    teacher, student = vit(), vit(1, embed_dim=12, num_heads=3)
    images = torch.randn(2, 3, 32, 32)
    with pytest.raises(SKDError, match="images"):
        run(teacher, student, images[:0])
    with pytest.raises(SKDError, match="ridge above 0"):
        run(teacher, student, images, ridge=0.0)
    with pytest.raises(SKDError, match="34 positions where the student sees 130"):
        run(teacher, vit(1, embed_dim=12, num_heads=3, patch_size=4), images)
    with pytest.raises(SKDError, match="not of the plan's shape"):
        compensate(teacher, vit(1), make_plan(teacher, student), images)
