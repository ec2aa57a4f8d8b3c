import pytest

from frisket.core.errors import FrisketError
from frisket.interop.counts import foreign_parameters


def test_counts_a_model_of_diffusers_without_its_weights():
    pytest.importorskip("diffusers")
    small = foreign_parameters("DiTTransformer2DModel", num_layers=1, num_attention_heads=2, attention_head_dim=8)
    assert (
        foreign_parameters("DiTTransformer2DModel", num_layers=2, num_attention_heads=2, attention_head_dim=8) > small
    )


@pytest.mark.parametrize("name", ["NoSuchModel", "DDIMScheduler"])
def test_another_class_is_refused(name):
    pytest.importorskip("diffusers")
    with pytest.raises(FrisketError, match="has no model"):
        foreign_parameters(name)
