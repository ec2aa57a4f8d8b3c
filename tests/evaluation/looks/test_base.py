"""A look takes the place of the standard showcase in a report."""

from dataclasses import dataclass, replace

from frisket.core.registry import register
from frisket.evaluation.report import Section
from frisket.experiments.run import look
from frisket.experiments.system import train
from frisket.recipes import dit


@register("look/test-count")
@dataclass(frozen=True, kw_only=True)
class Count:
    def sections(self, pipeline, data, n, folder):
        return [Section(title="Counted", text=str(n))], {"counted": n}


def test_the_report_holds_what_the_look_makes_and_not_the_showcase(tmp_path):
    experiment = replace(dit.experiment("tiny"), looks=(Count(),), n_samples=8, study=None).fit()
    experiment = replace(experiment, training=replace(experiment.training, steps=2, batch=4))
    pipeline = train(experiment, tmp_path / "run")
    sections, results = look(experiment, pipeline, tmp_path / "run")
    titles = [section.title for section in sections]
    assert "Counted" in titles
    assert not {"Samples", "Metrics"} & set(titles)
    assert results["counted"] == 8
    assert "held_out_loss" in results
