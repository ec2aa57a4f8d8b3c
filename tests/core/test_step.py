from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frisket.core import FrisketError, Step, current_step, use_step
from frisket.core.random import hash_text, mix_int, words

PINNED_NORMAL = [2.2342224741453207, -0.21037104764494347, -0.10320768430750814, 0.016131278296132492]
PINNED_UNIFORM = [0.08062044344494546, 0.9945588348143092]
PINNED_SHARED = 0.1647007845220051
PINNED_STRATIFIED = [0.31083493869463996, 0.8731408374436936]


def step_of(ids, **kwargs) -> Step:
    return Step(seed=kwargs.pop("seed", 3), sample=torch.as_tensor(ids), **kwargs)


def by_hand(seed: int, row: int, index: int, purpose: str, n: int) -> list[float]:
    """The key and the uniforms of one row, from the words of its SplitMix64 stream."""
    key = mix_int(mix_int(mix_int(row + mix_int(seed)) * 3 + index) * 3 + hash_text(purpose))
    unsigned = [w & (2**64 - 1) for w in words(torch.tensor([key]), n)[0].tolist()]
    return [((w >> 12) + 0.5) / 2**52 for w in unsigned]


@given(st.integers(0, 2**40), st.integers(0, 2**50), st.integers(0, 10**6), st.sampled_from(["noise", "time"]))
def test_a_draw_is_the_stream_of_its_key(seed, row, index, purpose):
    got = step_of([row], seed=seed, index=index).draw(purpose, (5,), "uniform")
    assert got[0].tolist() == by_hand(seed, row, index, purpose, 5)


def test_drawn_values_are_pinned():
    """Saved runs resume with the same noise only while these hold."""
    step = step_of([0, 9], index=2)
    assert step.draw("noise", (2,)).flatten().tolist() == pytest.approx(PINNED_NORMAL, abs=1e-12)
    assert step.draw("noise", (), "uniform").tolist() == pytest.approx(PINNED_UNIFORM, abs=1e-15)
    assert step.shared("length").item() == pytest.approx(PINNED_SHARED, abs=1e-15)
    assert step.stratified("time").tolist() == pytest.approx(PINNED_STRATIFIED, abs=1e-15)


@given(st.permutations(range(7)), st.integers(1, 6))
def test_neither_batch_nor_position_changes_a_rows_draw(order, cut):
    whole = step_of(range(7))
    split = [step_of(list(order[:cut])), step_of(list(order[cut:]))]
    for read in (lambda s: s.draw("noise", (2, 3)), lambda s: s.stratified("time")):
        assert torch.equal(torch.cat([read(s) for s in split]), read(whole)[list(order)])


def test_asking_again_gives_the_same_and_branches_calls_and_runs_share_it():
    step = step_of([0, 1], index=4)
    first = step.draw("noise", (3,))
    assert torch.equal(first, step.draw("noise", (3,)))
    assert torch.equal(first, step.at(branch="null", call=2, run="other", total=9).draw("noise", (3,)))


@pytest.mark.parametrize("change", [{"seed": 4}, {"index": 1}])
def test_another_seed_or_index_gives_other_numbers(change):
    step = step_of([0, 1])
    assert not torch.isclose(step.draw("noise", (50,)), step.at(**change).draw("noise", (50,))).any()


def test_another_purpose_gives_unrelated_numbers():
    step = step_of(range(8))
    a, b = step.draw("noise", (4000,)).flatten(), step.draw("time", (4000,)).flatten()
    assert torch.corrcoef(torch.stack([a, b]))[0, 1].abs() < 4 / math.sqrt(len(a))


def test_a_scalar_draw_has_one_number_a_row():
    assert step_of([3, 4]).draw("u").shape == (2,)
    assert step_of([3, 4]).draw("u").dtype == torch.float64


def test_an_empty_batch_draws_nothing():
    step = step_of(torch.zeros(0, dtype=torch.int64))
    assert step.draw("noise", (3, 2)).shape == (0, 3, 2)


def test_what_is_shared_depends_on_neither_the_rows_nor_their_number():
    assert torch.equal(step_of([0]).shared("n", (3,)), step_of([5, 6]).shared("n", (3,)))
    assert not torch.equal(step_of([0]).shared("n", (3,)), step_of([0], index=1).shared("n", (3,)))
    assert step_of([0]).shared("n").shape == ()


def test_shared_numbers_are_not_those_of_row_zero():
    step = step_of([0])
    assert not torch.isclose(step.shared("n", (9,)), step.draw("n", (9,), "uniform")[0]).any()


@given(st.integers(0, 10**12), st.integers(2, 256), st.integers(0, 2**40))
def test_stratified_times_cover_the_interval_evenly(start, n, seed):
    u = step_of(torch.arange(start, start + n), seed=seed).stratified("time").sort().values
    ideal = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    plain = 1.36 / math.sqrt(n)  # what independent draws reach (Kolmogorov-Smirnov, 95 %)
    assert (u - ideal).abs().max() < min(2.5 * (1 + math.log(n)) / n, 3 * plain)
    assert u.min() >= 0
    assert u.max() < 1


def test_stratified_times_are_shifted_by_seed_and_purpose_but_not_by_index():
    step = step_of(range(4))
    assert torch.equal(step.stratified("time"), step.at(index=5).stratified("time"))
    assert not torch.isclose(step.stratified("time"), step.at(seed=9).stratified("time")).any()
    assert not torch.isclose(step.stratified("time"), step.stratified("rate")).any()


def test_rows_are_the_step_of_those_samples():
    step = step_of([4, 5, 6])
    assert torch.equal(step.rows(torch.tensor([2, 0])).draw("x", (2,)), step.draw("x", (2,))[[2, 0]])
    assert step.rows(torch.tensor([False, True, False])).sample.tolist() == [5]


def test_an_unknown_law_is_refused():
    with pytest.raises(Exception, match="law"):
        step_of([0]).draw("x", (), "cauchy")  # type: ignore[arg-type]


def test_the_global_generator_is_neither_read_nor_moved():
    before = torch.get_rng_state()
    step = step_of(range(4))
    first = step.draw("noise", (8,))
    step.shared("n"), step.stratified("t")
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(5)
    assert torch.equal(first, step.draw("noise", (8,)))


def test_a_step_is_in_force_inside_its_block_only():
    outer, inner = step_of([0]), step_of([1])
    with use_step(outer):
        with use_step(inner):
            assert current_step() is inner
        assert current_step() is outer
        with pytest.raises(RuntimeError, match="stop"), use_step(inner):
            raise RuntimeError("stop")
        assert current_step() is outer
    with pytest.raises(FrisketError, match="no Step is in force"):
        current_step()
