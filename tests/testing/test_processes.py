from __future__ import annotations

import pytest
import torch
from broken import Wrapped

from frisket.core import Output
from frisket.testing import check_process

FAULTS = {
    "the global generator": {"noise": lambda p, shape, step: torch.randn(len(step.sample), *shape)},
    "times leave": {"times": lambda p, u: p.times(u) * 2},
    "t = 0 is not the data": {"corrupt": lambda p, x0, t, noise, known=None: p.corrupt(x0, 0.5 + t / 2, noise, known)},
    "t = 1 is not the prior": {"prior": lambda p, noise: -noise},
    "does not keep known": {"corrupt": lambda p, x0, t, noise, known=None: p.corrupt(x0, t, noise)},
    "not valid": {"loss": lambda p, out, c, valid=None: p.loss(out, c)},
    "loss 'denoise' is not one finite number": {
        "loss": lambda p, out, c, valid=None: {k: v.mean()[None] * (valid is None) for k, v in p.loss(out, c, valid).items()}
    },
    "loss 'denoise' of a row depends": {
        "loss": lambda p, out, c, valid=None: {k: v / len(v) for k, v in p.loss(out, c, valid).items()}
    },
    "no finite gradient": {
        "loss": lambda p, out, c, valid=None: {k: v + 0 * out.pred.sum() for k, v in
                                               p.loss(Output(out.pred.detach()), c, valid).items()}
    },
    "renoise from t to t": {"renoise": lambda p, x, t, s, noise: x + noise},
    "estimate.x0": {"estimate": lambda p, out, x, t: p.estimate(Output(out.pred[:1]), x[:1], t[:1])},
}  # fmt: skip


def test_a_sound_process_passes():
    check_process(Wrapped())


@pytest.mark.parametrize("complaint", FAULTS)
def test_a_broken_promise_is_named(complaint):
    with pytest.raises(AssertionError, match=f"process/gaussian: .*{complaint}"):
        check_process(Wrapped(**FAULTS[complaint]))
