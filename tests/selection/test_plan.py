from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from MonaiSKD.errors import SKDError
from MonaiSKD.selection import SelectionPlan, make_plan

Build = Callable[..., nn.Module]


@pytest.fixture
def plan(vit: Build) -> SelectionPlan:
    return make_plan(vit(init_values=0.1), vit(embed_dim=12, num_heads=3, patch_size=4), phase=1, seed=7)


def test_a_file_holds_the_plan_as_data(plan: SelectionPlan, tmp_path: Path) -> None:
    plan.save(tmp_path / "plan.json")
    assert json.loads((tmp_path / "plan.json").read_text()) == plan.to_dict()


def test_equal_plans_have_one_hash_and_one_digest(plan: SelectionPlan) -> None:
    again = replace(plan)
    assert again == plan
    assert hash(again) == hash(plan)
    assert again.digest() == plan.digest()
    assert {plan: 1}[again] == 1


def test_digest_tells_plans_apart(vit: Build) -> None:
    first, second = (make_plan(vit(), vit(embed_dim=12, num_heads=3), phase=phase) for phase in (0, 1))
    assert first.digest() != second.digest()
    assert len(first.digest()) == 64
    assert first != second


def test_apply_is_pure_and_returns_fresh_tensors(vit: Build) -> None:
    teacher = vit()
    plan = make_plan(teacher, vit(seed=1))  # same size: the case in which a view would be tempting
    state = teacher.state_dict()
    copies = {key: tensor.clone() for key, tensor in state.items()}
    made = plan.apply(state)
    for tensor in made.values():
        tensor.add_(1)
    assert all(torch.equal(state[key], copies[key]) for key in state)
    assert not any(tensor.requires_grad for tensor in plan.apply(dict(teacher.named_parameters())).values())


def test_apply_keeps_the_teachers_precision(plan: SelectionPlan, vit: Build) -> None:
    half = {key: tensor.half() for key, tensor in vit(init_values=0.1).state_dict().items()}
    assert {tensor.dtype for tensor in plan.apply(half).values()} == {torch.float16}


def test_weights_of_another_network_are_refused(plan: SelectionPlan, vit: Build) -> None:
    state = vit(init_values=0.1).state_dict()
    with pytest.raises(SKDError, match=r"no tensor blocks\.1\.ls1\.gamma"):
        plan.apply({key: tensor for key, tensor in state.items() if key != "blocks.1.ls1.gamma"})
    with pytest.raises(SKDError, match=r"cls_token has the shape \[1, 1, 48\], the plan was made for \[1, 1, 24\]"):
        plan.apply(vit(embed_dim=48, init_values=0.1).state_dict())


def test_description_names_tensor_source_and_what_is_kept(plan: SelectionPlan) -> None:
    lines = plan.describe().splitlines()
    assert lines[0].startswith(
        "VisionTransformer -> VisionTransformer (depth first, width uniform, heads whole, phase 1"
    )
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in lines[2:]}
    assert len(rows) == len(plan.tensors) + 1
    assert rows["norm.weight"] == "norm.weight 12 of 24: 1, 3, 5, 7, …"
    assert rows["blocks.0.attn.proj.bias"].startswith("blocks.0.attn.proj.bias * blocks.0.ls1.gamma 12 of 24")
    assert rows["patch_embed.proj.weight"].endswith("all 3 | all 8 | all 8 -> [12, 3, 4, 4]")


@pytest.mark.parametrize(
    ("indices", "cause"),
    [
        (range(23, 0, -2), "the indices of residual do not ascend"),
        ((), "the indices of residual do not ascend"),
        (range(2, 25, 2), "an index of residual lies outside"),
        (range(1, 23, 2), "does not become"),
    ],
)
def test_a_space_that_does_not_fit_is_refused(plan: SelectionPlan, indices: Sequence[int], cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        replace(plan, spaces={**plan.spaces, "residual": tuple(indices)})


def test_a_space_that_is_absent_is_refused(plan: SelectionPlan) -> None:
    with pytest.raises(ValueError, match="cls_token: 'residual'"):
        replace(plan, spaces={name: kept for name, kept in plan.spaces.items() if name != "residual"})


@pytest.mark.parametrize(
    ("changes", "cause"),
    [({"transform": "rotate"}, "no transform 'rotate'"), ({"source": None}, "a tensor has a source")],
)
def test_a_tensor_that_contradicts_itself_is_refused(plan: SelectionPlan, changes: dict, cause: str) -> None:
    entry = replace(plan.tensors["cls_token"], **changes)
    with pytest.raises(ValueError, match=f"cls_token: .*{cause}"):
        replace(plan, tensors={**plan.tensors, "cls_token": entry})


def test_shuffling_keeps_each_tensors_values_and_loses_their_places(vit: Build) -> None:
    teacher, student = vit(), vit(embed_dim=12, num_heads=3)
    plain = make_plan(teacher, student).apply(teacher.state_dict())
    plan = make_plan(teacher, student, width="shuffled", seed=3)
    shuffled = plan.apply(teacher.state_dict())
    other = make_plan(teacher, student, width="shuffled", seed=4).apply(teacher.state_dict())
    for key, tensor in plain.items():
        assert torch.equal(shuffled[key].flatten().sort().values, tensor.flatten().sort().values), key
        assert not torch.equal(shuffled[key], tensor), key
        assert not torch.equal(shuffled[key], other[key]), key
        assert torch.equal(shuffled[key], plan.apply(teacher.state_dict())[key]), key
