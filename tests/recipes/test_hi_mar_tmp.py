from frisket.experiments.recipes import load_recipe
from frisket.testing import check_recipe
def test_it(): check_recipe(load_recipe("hi-mar"))
def test_mb(): check_recipe(load_recipe("maskbit"))
