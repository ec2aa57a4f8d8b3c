"""What counts as a preparation in a config."""

import pytest

from frisket.core.config import from_config, to_config
from frisket.core.errors import FrisketError
from frisket.recipes import dit


def test_a_part_that_prepares_nothing_is_refused_as_a_preparation():
    config = to_config(dit.experiment("tiny"))
    config["prepare"] = [config["process"]]
    with pytest.raises(FrisketError, match="prepare"):
        from_config(config)
