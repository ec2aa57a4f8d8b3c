import pytest
import torch

from frisket.core.errors import FrisketError
from frisket.core.step import Step
from frisket.models.attend import attend
from frisket.models.tokens import Tags
from frisket.sampling.control.base import Words
from frisket.sampling.control.cross import CrossControl

Q_TAGS, K_TAGS = Tags(n=6), Tags(n=3, valid=torch.tensor([[True, True, True], [True, True, False]] * 2))


def at(index=0, branch="source+target", total=10):
    return Step(seed=0, sample=torch.arange(4), index=index, total=total, branch=branch)


def given():
    g = torch.Generator().manual_seed(0)
    return torch.randn(4, 2, 6, 8, generator=g), *(torch.randn(4, 2, 3, 8, generator=g) for _ in range(2))


def handled(alias, step, emphasis=None, until=0.6):
    told = CrossControl(until=until).told(Words(alias=torch.tensor(alias), emphasis=emphasis))
    return told.handle(attend, (*given(), Q_TAGS, K_TAGS), step)


def maps(q, k):
    score = (q @ k.mT) * 8**-0.5
    return score.masked_fill(~K_TAGS.valid[:, None, None], -torch.inf).softmax(-1)


def test_words_with_no_alias_change_nothing():
    q, k, v = given()
    out = handled([[-1] * 3] * 2, at())
    torch.testing.assert_close(out, attend(q, k, v, Q_TAGS, K_TAGS), atol=1e-6, rtol=1e-5)


def test_shared_words_look_where_the_source_looks():
    q, k, v = given()
    p = maps(q, k)
    out = handled([[0, 1, 2]] * 2, at())
    assert torch.equal(out[:2], attend(q, k, v, Q_TAGS, K_TAGS)[:2])
    torch.testing.assert_close(out[2:], p[:2] @ v[2:])


def test_new_words_keep_their_own():
    q, k, v = given()
    p = maps(q, k)
    mixed = torch.stack([p[:2, :, :, 1], p[2:, :, :, 1], p[:2, :, :, 0]], -1)
    torch.testing.assert_close(handled([[1, -1, 0]] * 2, at())[2:], mixed @ v[2:])


def test_emphasis_is_a_factor_of_a_word():
    q, k, v = given()
    p = maps(q, k)
    p[2:, :, :, 1] *= 2.0
    out = handled([[-1] * 3] * 2, at(), emphasis=torch.tensor([[1.0, 2.0, 1.0]] * 2))
    torch.testing.assert_close(out[2:], p[2:] @ v[2:])


def test_ends_after_its_steps_and_needs_two_streams():
    q, k, v = given()
    plain = attend(q, k, v, Q_TAGS, K_TAGS)
    assert torch.equal(handled([[2, 1, 0]] * 2, at(6)), plain)
    assert not torch.equal(handled([[2, 1, 0]] * 2, at(5)), plain)
    assert torch.equal(handled([[2, 1, 0]] * 2, at(0, "conditional+null")), plain)
    assert torch.equal(handled([[2, 1, 0]] * 2, at(0), until=0.0), plain)


def test_guidance_branches_share_the_words():
    step = Step(seed=0, sample=torch.arange(4), index=0, total=10, branch="source+target+null source+null target")
    out = handled([[0, 1, 2]], step)
    q, k, v = given()
    p = maps(q, k)
    torch.testing.assert_close(out[1], p[0] @ v[1])
    torch.testing.assert_close(out[3], p[2] @ v[3])


def test_without_words_it_stands_nowhere():
    assert CrossControl().mount(object()).handlers == {}
    with pytest.raises(FrisketError, match="control.until"):
        CrossControl(until=1.5)
