import pytest
import torch

from frisket.adapters.policy import AddRevealPolicy, PolicyNetwork, RevealPolicy
from frisket.codecs.text import Ids as IdsCodec
from frisket.core import FrisketError, Step, apply_edits, use_step
from frisket.core.edits import build_edited
from frisket.data.base import Info
from frisket.models.backbones.transformer import Transformer
from frisket.models.count import count_parameters
from frisket.models.layers.ends import Ids, Logits
from frisket.processes.masked import Masked
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler
from frisket.testing import check_edit

CONFIG = Transformer(width=16, heads=2, input=Ids(vocabulary=5, size=(6,)), output=Logits(vocabulary=5)).with_depth(1)
STEP = Step(seed=0, sample=torch.arange(2))


def randomised(module):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in module.parameters():
            value.add_(0.3 * torch.randn(value.shape, generator=generator))
    return module


def test_the_model_itself_stays_bit_for_bit_and_comes_back_with_its_policy():
    model = randomised(CONFIG.build())
    x = torch.tensor([[0, 5, 1, 5, 5, 2], [5] * 6])
    with use_step(STEP):
        before = model(x, torch.ones(2)).pred
    edited = apply_edits(model, [RevealPolicy(length=6)])
    with use_step(STEP):
        assert torch.equal(edited(x, torch.ones(2)).pred, before)
    again = build_edited(CONFIG, edited.edits)
    again.load_state_dict(edited.state_dict())
    with torch.device("meta"):
        assert next(build_edited(CONFIG, edited.edits).policy.parameters()).is_meta


def test_an_untrained_policy_is_a_soft_threshold_or_undecided():
    confidence, hidden = torch.tensor([[0.5, 0.9, 0.95, 0.99, 1.0, 0.2]]), torch.ones(1, 6, dtype=torch.bool)
    start = PolicyNetwork(RevealPolicy(length=6, at=0.95, slope=2.0))(confidence, hidden)
    torch.testing.assert_close(start[0, :4], 2 * torch.log(0.05 / (1 - confidence[0, :4])), rtol=1e-4, atol=1e-4)
    assert bool((start[0].sort().indices == confidence[0].sort().indices).all())
    undecided = PolicyNetwork(RevealPolicy(length=6, slope=0.0))
    assert torch.equal(undecided(confidence, hidden), torch.zeros(1, 6))


def test_visible_confidences_do_not_matter_and_other_lengths_work():
    policy = randomised(PolicyNetwork(RevealPolicy(length=6)))
    hidden = torch.tensor([[True, False, True, True, False, True]])
    one, other = torch.full((1, 6), 0.5), torch.full((1, 6), 0.5)
    other[0, 1] = 0.1
    assert torch.equal(policy(one, hidden), policy(other, hidden))
    other[0, 2] = 0.9
    assert not torch.equal(policy(one, hidden), policy(other, hidden))
    assert policy(torch.full((2, 9), 0.5), torch.ones(2, 9, dtype=torch.bool)).shape == (2, 9)
    assert bool(torch.isfinite(policy(torch.ones(1, 6), torch.ones(1, 6, dtype=torch.bool))).all())


def test_preparing_gives_a_policy_that_the_seed_decides_and_that_is_saved(tmp_path):
    def pipeline(seed):
        info = Info(kind="ids", shape=(6,), extra={"vocabulary": 5})
        made = Pipeline(CONFIG.build(), Masked(vocabulary=5), IdsCodec(vocabulary=5), Sampler(), info)
        return AddRevealPolicy().apply(made, None, {}, seed)

    one, same, other = pipeline(1), pipeline(1), pipeline(2)
    weights = one.model.policy.state_dict()
    assert all(torch.equal(v, same.model.policy.state_dict()[k]) for k, v in weights.items())
    assert any(not torch.equal(v, other.model.policy.state_dict()[k]) for k, v in weights.items())
    assert one.model.edits[0].length == 6
    randomised(one.model)
    held = Pipeline.from_pretrained(one.save_pretrained(tmp_path / "model"))
    assert all(torch.equal(v, held.model.state_dict()[k]) for k, v in one.model.state_dict().items())


def test_it_is_tiny_and_there_is_one():
    assert count_parameters(PolicyNetwork(RevealPolicy(length=6))) < 50_000
    model = apply_edits(CONFIG.build(), [RevealPolicy(length=6)])
    with pytest.raises(FrisketError, match="policy already"):
        apply_edits(model, [RevealPolicy(length=6)])
    for change in ({"length": 0}, {"length": 6, "at": 1.0}, {"length": 6, "slope": -1.0}):
        with pytest.raises(FrisketError):
            RevealPolicy(**change)


def test_the_edit_keeps_its_promises():
    def run(model):
        with use_step(STEP):
            return model(torch.tensor([[0, 5, 1, 5, 5, 2], [5] * 6]), torch.ones(2)).pred

    check_edit(RevealPolicy(length=6), CONFIG, run, exact=0.0)
