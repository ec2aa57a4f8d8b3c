from pathlib import Path as File

import numpy as np
import pytest
import torch

from frisket.core import FrisketError, from_config, to_config
from frisket.processes.parameterisations import Plain, Substitution

GOLDEN = {
    k: torch.from_numpy(v)
    for k, v in np.load(File(__file__).parents[1] / "golden" / "mdlm_d3pm.npz", allow_pickle=False).items()
}
K = 7
X_T = GOLDEN["x_t_1000"]
LOGITS = GOLDEN["logits"]


@pytest.mark.parametrize(("name", "form"), [("plain", Plain()), ("subs", Substitution())])
def test_official_forms(name, form):
    ours, official = form.logp(LOGITS, X_T, K), GOLDEN[f"logp_{name}"]
    assert torch.allclose(ours.exp(), official.float().exp(), atol=1e-6)
    real = official > -1e5  # how negative the impossible is differs
    assert torch.allclose(ours[real], official[real].float(), atol=1e-5)
    assert (ours[~real] < -1e5).all()


@pytest.mark.parametrize("form", [Plain(), Substitution()])
def test_a_distribution_over_the_symbols_and_the_mask(form):
    p = form.logp(LOGITS[..., : form.outputs(K)], X_T, K).exp()
    assert p.shape == (5, 9, K + 1)
    assert torch.allclose(p.sum(-1), torch.ones(5, 9), atol=1e-5)


def test_substitution_never_says_the_mask_and_copies():
    p = Substitution().logp(LOGITS, X_T, K).exp()
    assert (p[..., K] == 0).all()
    visible = X_T < K
    assert (p.gather(-1, X_T[..., None])[..., 0][visible] == 1).all()
    more = LOGITS.clone()
    more[..., K] += 50
    assert torch.equal(Substitution().logp(more, X_T, K).exp(), p)
    assert not torch.allclose(Plain().logp(more, X_T, K), Plain().logp(LOGITS, X_T, K))


def test_plain_given_the_substituted_form_keeps_it():
    form = Substitution().logp(LOGITS, X_T, K)
    assert torch.allclose(Plain().logp(form, X_T, K), form, atol=1e-5)


def test_configs_and_errors():
    assert (Substitution().outputs(K), Plain().outputs(K)) == (K, K + 1)
    assert Substitution().clean == 0
    assert from_config(to_config(Plain(clean=0.25))) == Plain(clean=0.25)
    for clean in (0.0, 1.0):
        with pytest.raises(FrisketError, match=r"parameterisation\.clean"):
            Plain(clean=clean)
    with pytest.raises(FrisketError, match="and the mask"):
        Plain().logp(LOGITS[..., :K], X_T, K)
    with pytest.raises(FrisketError, match="logits of shape"):
        Substitution().logp(LOGITS[..., :3], X_T, K)
