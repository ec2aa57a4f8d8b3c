from frisket.evaluation.looks.rewording import EditTable, _kept
from frisket.evaluation.scores.rewording import task_of
from frisket.recipes.dit4edit import captioned


def test_the_task_of_changing_nothing_wants_the_old_digits():
    task = task_of(captioned("tiny").data, 5, 0)
    kept, source = _kept(task), captioned("tiny").data.open("test")
    assert kept.after == task.before
    assert kept.wanted.objects["label"].tolist() == source.batch(task.wanted.index)["labels"].tolist()
    assert kept.wanted.objects["label"][:, 0].tolist() != task.wanted.objects["label"][:, 0].tolist()


def test_its_table_has_both_solvers():
    assert EditTable().steps == (5, 10, 20, 50)
