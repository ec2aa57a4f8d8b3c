"""The whole segmenter: shapes, sites, counts, refusals."""

from __future__ import annotations

import pytest
import torch

from frisket.codecs.base import Spec
from frisket.core import Condition, FrisketError, Step, install, use_step
from frisket.models.backbones.queries.pixels import Deformable, Pyramid
from frisket.models.backbones.queries.segmenter import QuerySegmenter
from frisket.models.backbones.queries.trunk import Residual
from frisket.models.count import count_macs, count_parameters, parameters_of_size
from frisket.models.init import marks_of
from frisket.recipes.mask2former import published
from frisket.testing import check_config
from frisket.testing.backbones import stir

SMALL = QuerySegmenter(
    classes=4, queries=5, width=16, heads=2, layers=4, trunk=Residual(widths=(8, 8, 16, 16), stem_width=8),
    pixels=Deformable(layers=1),
)  # fmt: skip
STEP = Step(seed=0, sample=torch.arange(2))


@pytest.fixture(scope="module")
def model():
    made = SMALL.build()
    stir(made, 0.1)
    return made


def images(b=2):
    return torch.randn(b, 3, 32, 16, generator=torch.Generator().manual_seed(3))


def test_the_output_holds_the_last_prediction_and_all_before_it(model):
    out = model(images())
    assert out.pred.shape == (2, 5, 16, 8)
    assert out.aux["classes"].shape == (2, 5, 5)
    assert out.aux["layer_masks"].shape == (2, 4, 5, 16, 8)  # as many as layers
    assert out.aux["layer_classes"].shape == (2, 4, 5, 5)


def test_a_row_does_not_depend_on_its_batch(model):
    x = images()
    torch.testing.assert_close(model(x[1:]).pred[0], model(x).pred[1], rtol=1e-4, atol=1e-4)


def test_every_weight_gets_a_gradient_from_all_predictions(model):
    out = model(images())
    model.zero_grad()
    sum(v.square().mean() for v in (out.pred, *out.aux.values())).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not bool((p.grad != 0).any())] == []


def test_builds_are_equal_marked_and_leave_the_global_generator(model):
    before = torch.get_rng_state()
    one, two = SMALL.build(), SMALL.build()
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(v, two.state_dict()[n]) for n, v in one.state_dict().items())
    assert len(marks_of(one)) == len(list(one.parameters()))


def test_config_round_trips():
    check_config(SMALL)
    check_config(QuerySegmenter(pixels=Pyramid()))


def test_every_site_is_reached_and_a_tap_changes_nothing(model):
    x = images()
    plain = model(x).pred
    for site in model.sites():
        called = []

        def tap(call, args, step, called=called):
            called.append(step)
            return call(*args)

        with install(model, {site: tap}), use_step(STEP):
            assert torch.equal(model(x).pred, plain), site
        assert called, site


def test_multiply_accumulates_are_counted_on_meta_and_the_focus_costs_nothing(model):
    macs = count_macs(model, (3, 32, 16))
    assert macs > 1e5
    doubled = count_macs(model, (3, 64, 16))
    assert 1.5 < doubled / macs < 2.5


@pytest.mark.parametrize(("depth", "millions"), [(50, 43.983878), (101, 62.923782)])
def test_published_sizes(depth, millions):
    assert parameters_of_size(published(depth)) == round(millions * 1e6)


def test_parameters_do_not_depend_on_the_meta_device(model):
    assert parameters_of_size(SMALL) == count_parameters(model)


def test_fit_keeps_the_segmenter_and_refuses_sides_that_do_not_divide():
    assert SMALL.fit(Spec(kind="continuous", shape=(3, 32, 48)), 3, {"label": 20}) == SMALL
    for shape in ((3, 32, 40), (1, 32, 32)):
        with pytest.raises(FrisketError, match="multiples of 16"):
            SMALL.fit(Spec(kind="continuous", shape=shape), 3, {})


def test_what_it_cannot_read_is_refused(model):
    with pytest.raises(FrisketError, match="condition 'label'"):
        model(images(), None, Condition.of(label=torch.zeros(2)))
    with pytest.raises(FrisketError, match="span 'middle'"):
        model(images(), keep={"middle": torch.zeros(2, 1, dtype=torch.int64)})
    with pytest.raises(FrisketError, match="multiples of 16"):
        model(torch.zeros(1, 3, 24, 16))


@pytest.mark.parametrize(
    ("field", "value"),
    [("classes", 0), ("stuff", (4,)), ("queries", 0), ("layers", 0), ("heads", 3), ("score", 1.5), ("overlap", -0.1)],
)
def test_bad_fields_are_named(field, value):
    with pytest.raises(FrisketError, match=f"model.{field}"):
        QuerySegmenter(**{"classes": 4, "width": 16, field: value})
