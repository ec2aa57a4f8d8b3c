import pytest

from frisket.core.errors import FrisketError
from frisket.tasks.objectives.ramps import Decades
from frisket.testing import check_config


def test_flat_then_tenfold_less_every_decade_in_whole_epochs():
    """The published weight: 0.2 up to epoch 149, 0.02 a thousand epochs later."""
    ramp = Decades(flat=149, decade=1000, epoch=7)
    check_config(ramp)
    weight = lambda epoch, more=0: 0.2 * ramp.factor(7 * epoch + more, 10**6)  # noqa: E731
    assert weight(0) == weight(149) == weight(149, 6) == 0.2
    assert weight(1149) == pytest.approx(0.02)
    assert weight(649) == pytest.approx(0.2 * 0.1**0.5)
    assert weight(400) == weight(400, 6) > weight(401)
    for changes in ({"flat": -1}, {"decade": 0}, {"epoch": 0}):
        with pytest.raises(FrisketError, match=r"ramp\."):
            Decades(**changes)
