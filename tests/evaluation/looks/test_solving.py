import importlib.util
from pathlib import Path

from frisket.core import from_config, to_config
from frisket.evaluation.looks.solving import Solving
from frisket.recipes.token_ordering import filling
from frisket.sampling.decoding.orders import Margin, Random

SPEC = importlib.util.spec_from_file_location(
    "solved_stand_in", Path(__file__).parents[1] / "scores" / "test_solved.py"
)
assert SPEC is not None
assert SPEC.loader is not None
STAND_IN = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(STAND_IN)


def test_a_film_of_every_sampler_and_a_curve_through_its_points(tmp_path):
    look = Solving(
        films={"random": filling(Random(), 6), "margin": filling(Margin(), 3)},
        curves={"random": (filling(Random(), 6), filling(Random(), 2))},
        puzzle=3,
    )
    assert from_config(to_config(look)) == look
    sections, numbers = look.sections(STAND_IN.pipeline(), STAND_IN.DATA, 8, tmp_path)
    assert [s.title for s in sections] == ["A puzzle being solved", "Solved against forwards"]
    film = sections[0].figures[0].markup
    assert "random (6)" in film
    assert "margin (3)" in film
    assert "line-through" not in film
    found = numbers["solving"]["random"]
    assert [p["forwards"] for p in found] == [6.0, 2.0]
    assert [p["solved"] for p in found] == [1.0, 1.0]


def test_without_curves_there_is_only_the_film(tmp_path):
    sections, numbers = Solving(films={"random": filling(Random(), 6)}).sections(
        STAND_IN.pipeline(), STAND_IN.DATA, 8, tmp_path
    )
    assert len(sections) == 1
    assert numbers == {"solving": {}}
