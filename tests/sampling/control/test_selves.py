import pytest
import torch

from frisket.core.errors import FrisketError
from frisket.core.step import Step
from frisket.models.attend import attend
from frisket.models.tokens import Tags
from frisket.sampling.control.selves import LayoutControl, SelfControl

TAGS = Tags(n=5)


class Model:
    def sites(self):
        return [f"block[{i}].attn.attend" for i in range(4)]


def at(index, branch="source+target", total=10):
    return Step(seed=0, sample=torch.arange(4), index=index, total=total, branch=branch)


def qkv():
    g = torch.Generator().manual_seed(0)
    return tuple(torch.randn(4, 2, 5, 8, generator=g) for _ in range(3))


def test_keys_and_values_come_from_the_source():
    q, k, v = qkv()
    out = SelfControl(after=0.2).handle(attend, (q, k, v, TAGS, TAGS), at(2))
    assert torch.equal(out[:2], attend(q[:2], k[:2], v[:2], TAGS, TAGS))
    torch.testing.assert_close(out[2:], attend(q[2:], k[:2], v[:2], TAGS, TAGS))


def test_queries_and_keys_come_from_the_source():
    q, k, v = qkv()
    out = LayoutControl(until=0.2).handle(attend, (q, k, v, TAGS, TAGS), at(1))
    torch.testing.assert_close(out[2:], attend(q[:2], k[:2], v[2:], TAGS, TAGS))


@pytest.mark.parametrize(("control", "index"), [(SelfControl(after=0.2), 1), (LayoutControl(until=0.2), 2)])
def test_outside_their_steps_and_in_one_stream_they_do_nothing(control, index):
    q, k, v = qkv()
    plain = attend(q, k, v, TAGS, TAGS)
    assert torch.equal(control.handle(attend, (q, k, v, TAGS, TAGS), at(index)), plain)
    assert torch.equal(control.handle(attend, (q, k, v, TAGS, TAGS), at(5, "conditional+null")), plain)


def test_guidance_branches_keep_to_themselves():
    q, k, v = (x[:, :, :, :] for x in qkv())
    step = Step(seed=0, sample=torch.arange(4), index=5, total=10, branch="source+target+null source+null target")
    out = SelfControl().handle(attend, (q, k, v, TAGS, TAGS), step)
    torch.testing.assert_close(out[1:2], attend(q[1:2], k[:1], v[:1], TAGS, TAGS))
    torch.testing.assert_close(out[3:], attend(q[3:], k[2:3], v[2:3], TAGS, TAGS))


def test_stands_on_the_later_blocks():
    assert list(SelfControl(beyond=0.5).mount(Model()).handlers) == Model().sites()[2:]
    assert SelfControl(beyond=1.0).mount(Model()).handlers == {}
    assert list(LayoutControl().mount(Model()).handlers) == Model().sites()


@pytest.mark.parametrize("make", [
    lambda: SelfControl(after=1.2), lambda: SelfControl(beyond=-1), lambda: LayoutControl(until=2),
    lambda: LayoutControl(beyond=2),
])  # fmt: skip
def test_shares_are_shares(make):
    with pytest.raises(FrisketError, match="control."):
        make()
