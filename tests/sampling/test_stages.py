import pytest
from sampling_fakes import tiny_pipeline

from frisket.codecs.palette import Palette
from frisket.codecs.readers import Reader
from frisket.core import FrisketError, from_config, to_config
from frisket.data.digits import Digits
from frisket.experiments.preparation import Preparation
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.stages import Stage


def test_a_need_becomes_the_stage_before():
    base, plain = tiny_pipeline(seed=1), tiny_pipeline(seed=2)
    reads = {"low": Reader(key="x", codec=Palette(colours=((0.0,), (1.0,))))}
    pipeline = Pipeline(plain.model, plain.process, plain.codec, plain.sampler, plain.info, reads=reads)
    stage: Preparation = Stage()
    assert stage.apply(pipeline, Digits(), {"base": base}, 0).stages == {"low": base}
    assert from_config(to_config(stage)) == stage
    with pytest.raises(FrisketError, match="unknown need 'base'"):
        stage.apply(pipeline, Digits(), {"bass": base}, 0)
    with pytest.raises(FrisketError, match="prepare.condition = 'low'"):
        stage.apply(plain, Digits(), {"base": base}, 0)
