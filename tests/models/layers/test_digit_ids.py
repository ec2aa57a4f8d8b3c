import pytest
import torch

from frisket.codecs.base import Spec
from frisket.core import FrisketError
from frisket.models.layers.digit_ids import DigitIds
from frisket.testing import check_config

SPEC = Spec(kind="ids", shape=(5, 3), vocabulary=4, symbols=50)


def test_it_is_fitted_to_states_that_spell_symbols():
    fitted = DigitIds().fit(SPEC)
    check_config(fitted)
    assert (fitted.base, fitted.size, fitted.count) == (4, (5,), 3)
    assert fitted.grid.tokens == 5
    with pytest.raises(FrisketError, match="spells"):
        fitted.fit(Spec(kind="ids", shape=(5,), vocabulary=4))


def test_a_token_is_its_digits_side_by_side_in_order():
    config = DigitIds().fit(SPEC)
    module = config.build(12, 0)
    x = torch.randint(0, 5, (2, 5, 3), generator=torch.Generator().manual_seed(0))
    h = module(x, config.grid_of(x))
    assert h.shape == (2, 5, 12)
    assert torch.equal(h[1, 2], torch.cat([module.table.weight[d] for d in x[1, 2]]))


def test_states_and_widths_that_do_not_fit_are_refused():
    config = DigitIds().fit(SPEC)
    with pytest.raises(FrisketError, match="multiple"):
        config.build(16, 0)
    with pytest.raises(FrisketError, match="channels"):
        config.build(12, 1)
    with pytest.raises(FrisketError, match="digits"):
        config.grid_of(torch.zeros(2, 5, 2, dtype=torch.long))
    with pytest.raises(FrisketError, match="axes"):
        config.grid_of(torch.zeros(2, 5, dtype=torch.long))
    with pytest.raises(FrisketError, match="dtype"):
        config.grid_of(torch.zeros(2, 5, 3))
