import pytest
import torch

from frisket.core import FrisketError
from frisket.processes import Gaussian, Known, Masked, MaskedSteps
from frisket.processes.absorbing import NEVER, Absorbing, copied, counted, lowest, open_elements, symbols

K = 5
GEN = torch.Generator().manual_seed(0)
IDS = torch.randint(0, K, (3, 6), generator=GEN)
X = IDS.masked_fill(torch.arange(6) < 3, K)
LOGITS = torch.randn(3, 6, K, generator=GEN)
FIRST = torch.arange(6).expand(3, 6) < 2


def test_it_is_a_base_and_its_parts_differ_in_nothing_it_gives():
    with pytest.raises(TypeError):
        Absorbing(vocabulary=K)  # type: ignore[abstract]
    t, s, noise = torch.full((3,), 0.3), torch.full((3,), 0.8), torch.rand(3, 6, generator=GEN)
    one, other = Masked(vocabulary=K), MaskedSteps(vocabulary=K)
    one = type(one)(vocabulary=K, schedule=other.schedule)
    assert torch.equal(one.renoise(X, t, s, noise), other.renoise(X, t, s, noise))
    assert torch.equal(one.reveal_chance(s, t), other.reveal_chance(s, t))
    assert torch.equal(one.corrupt(IDS, t, noise).x_t, other.corrupt(IDS, t, noise).x_t)
    assert type(other.fit(9)) is MaskedSteps
    assert other.fit(9).mask_id == 9


def test_symbols_are_normalised_without_the_mask():
    more = torch.cat([LOGITS, torch.full((3, 6, 1), 9.0)], -1)
    assert torch.equal(symbols(more, X, K), symbols(LOGITS, X, K))
    assert torch.allclose(symbols(more, X, K).exp().sum(-1), torch.ones(3, 6))
    with pytest.raises(FrisketError, match="logits of shape"):
        symbols(LOGITS[..., :2], X, K)


def test_copied_touches_only_what_is_visible():
    logp = symbols(LOGITS, X, K)
    out = copied(logp, X)
    assert torch.equal(out[:, :3], logp[:, :3])
    assert torch.equal(out[:, 3:].argmax(-1), IDS[:, 3:])
    assert sorted(set(out[:, 3:].flatten().tolist())) == [NEVER, 0.0]


def test_what_counts_and_what_is_open():
    known, valid = Known(values=IDS, where=FIRST), torch.arange(6).expand(3, 6) < 5
    assert open_elements(IDS, None, None).all()
    assert open_elements(IDS, known, valid)[0].tolist() == [False, False, True, True, True, False]
    c = Masked(vocabulary=K).corrupt(IDS, torch.ones(3), torch.zeros(3, 6), known)
    assert torch.equal(counted(c, valid), open_elements(IDS, known, valid))
    local = torch.where(torch.arange(6) == 3, 0.0, 0.5).expand(3, 6)
    by_clock = Masked(vocabulary=K).corrupt(IDS, local, torch.zeros(3, 6))
    assert torch.equal(counted(by_clock, None), local > 0)
    gaussian = Gaussian().corrupt(torch.zeros(2, 1, 4), torch.ones(2), torch.zeros(2, 1, 4))
    with pytest.raises(FrisketError, match="masked process"):
        counted(gaussian, None)


def test_lowest_hides_as_many_as_asked_among_the_open():
    order = torch.rand(3, 6, generator=GEN, dtype=torch.float64)
    count = torch.tensor([0, 2, 9])
    hidden = lowest(order, ~FIRST, count)
    assert hidden.sum(1).tolist() == [0, 2, 4]
    assert not (hidden & FIRST).any()
    assert order[1][hidden[1]].max() < order[1][~hidden[1] & ~FIRST[1]].min()
