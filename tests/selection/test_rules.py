from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from MonaiSKD.errors import SKDError
from MonaiSKD.selection.rules import Rule, WidthRule, choose, choose_blocks, evenly, spread

WIDTHS: list[WidthRule] = ["uniform", "consecutive", "random", "importance", "shuffled"]


# No deadline: the machine may be busy with other work.
quick = settings(deadline=None, max_examples=60)


@st.composite
def sizes(draw: st.DrawFn) -> tuple[int, int]:
    keep = draw(st.integers(1, 40))
    return draw(st.integers(keep, 120)), keep


def take(total: int, keep: int, width: WidthRule, phase: int, seed: int = 0) -> tuple[int, ...]:
    scores = torch.rand(total, generator=torch.Generator().manual_seed(seed))
    return choose("space", total, keep, Rule(width=width, phase=phase, seed=seed), scores)


def test_published_rule_by_hand() -> None:
    assert evenly(8, 4) == [0, 2, 4, 6]
    assert evenly(6, 4) == [0, 2, 3, 5]
    # 0, 2.5, 5: halves go to the even neighbour.
    assert evenly(6, 3) == [0, 2, 4]
    assert spread(6, 3) == [0, 2, 5]


@quick
@given(sizes())
def test_spread_equals_numpy_rounding_except_on_float32_halves(size: tuple[int, int]) -> None:
    total, keep = size
    exact = np.linspace(0, total - 1, keep)
    clear = np.abs(exact - np.floor(exact) - 0.5) > 1e-4
    assert np.array_equal(np.array(spread(total, keep))[clear], np.round(exact)[clear].astype(int))


@quick
@given(sizes(), st.sampled_from(WIDTHS), st.integers(0, 3), st.integers(0, 5))
def test_choice_ascends_stays_in_range_and_repeats(
    size: tuple[int, int], width: WidthRule, phase: int, seed: int
) -> None:
    total, keep = size
    indices = take(total, keep, width, phase, seed)
    assert len(indices) == keep
    assert list(indices) == sorted(set(indices))
    assert 0 <= indices[0] <= indices[-1] < total
    assert indices == take(total, keep, width, phase, seed)


@quick
@given(sizes(), st.sampled_from(WIDTHS))
def test_two_phases_overlap_no_more_than_the_sizes_force(size: tuple[int, int], width: WidthRule) -> None:
    total, keep = size
    common = set(take(total, keep, width, 0)) & set(take(total, keep, width, 1))
    assert len(common) == max(0, 2 * keep - total)


@quick
@given(st.integers(1, 5), st.integers(1, 20))
def test_uniform_phases_of_a_whole_ratio_are_the_residues(ratio: int, keep: int) -> None:
    for phase in range(ratio):
        assert take(ratio * keep, keep, "uniform", phase) == tuple(i * ratio + phase for i in range(keep))


@quick
@given(sizes(), st.sampled_from(WIDTHS))
def test_after_enough_phases_every_entry_was_used(size: tuple[int, int], width: WidthRule) -> None:
    total, keep = size
    phases = -(-total // keep)
    assert {index for phase in range(phases) for index in take(total, keep, width, phase)} == set(range(total))


def test_rules_by_hand() -> None:
    scores = torch.tensor([0.1, 5.0, 0.3, 4.0, 5.0])
    assert choose("s", 5, 2, Rule(width="importance"), scores) == (1, 4)
    assert choose("s", 5, 2, Rule(width="importance", phase=1), scores) == (2, 3)
    assert choose("s", 5, 3, Rule(width="consecutive")) == (0, 1, 2)
    # Two are left, and one of the three used ones comes back.
    assert choose("s", 5, 3, Rule(width="consecutive", phase=1)) == (0, 3, 4)
    assert choose("s", 8, 4, Rule(width="shuffled")) == (0, 2, 4, 6)


def test_random_depends_on_seed_and_space() -> None:
    draws = {choose(name, 64, 16, Rule(width="random", seed=seed)) for name in "ab" for seed in range(3)}
    assert len(draws) == 6


def test_blocks_by_hand() -> None:
    assert choose_blocks(12, 4, "first") == (0, 1, 2, 3)
    assert choose_blocks(12, 4, "uniform") == (0, 4, 7, 11)
    assert choose_blocks(9, 3, "ends") == (0, 1, 8)
    assert choose_blocks(3, 1, "uniform") == choose_blocks(3, 1, "ends") == (0,)


@quick
@given(sizes(), st.sampled_from(["first", "uniform", "ends"]))
def test_blocks_start_with_the_first_and_ascend(size: tuple[int, int], depth: str) -> None:
    total, keep = size
    blocks = choose_blocks(total, keep, depth)  # type: ignore[arg-type]
    assert blocks[0] == 0
    assert list(blocks) == sorted(set(blocks))
    assert len(blocks) == keep
    assert blocks[-1] < total


@pytest.mark.parametrize("wrong", [{"width": "wide"}, {"depth": "last"}, {"heads": "half"}, {"phase": -1}])
def test_unknown_rules_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SKDError, match="Choose"):
        Rule(**wrong)  # type: ignore[arg-type]
