from frisket.core import from_config, to_config
from frisket.data.text import Text
from frisket.evaluation.looks.writing import Writing
from frisket.experiments.system import load
from frisket.recipes.dus import as_many, dilated
from frisket.sampling.decoding.dilated import Dilated
from frisket.sampling.decoding.orders import Random


def test_samples_by_order_and_quality_against_forwards(mdlm_run, tmp_path):
    look = Writing(
        films={"dilated": dilated(64), "random": as_many(Random(), 64)}, curves={"dilated": (dilated(64),)}, most=2
    )
    assert from_config(to_config(look)) == look
    pipeline = load(mdlm_run)
    levels = len(Dilated(block=64).levels(pipeline.spec.shape[0]))
    sections, numbers = look.sections(pipeline, Text(length=64), 4, tmp_path)
    assert [s.title for s in sections] == ["The order of revealing", "Quality against forwards"]
    assert f"dilated ({levels} forwards)" in sections[0].figures[0].markup
    found = numbers["writing"]
    assert found["dilated"][0]["forwards"] == levels
    assert found["held_out_judged_bits"] < found["dilated"][0]["judged_bits"]
