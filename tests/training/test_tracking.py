import json
import sys

import pytest

from frisket.core.errors import FrisketError, MissingExtra
from frisket.training.tracking import Jsonl, TensorBoard, open_trackers, truncate


def written(path):
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_opening_at_a_step_drops_what_will_come_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    file = Jsonl(path, 0)
    for step in range(1, 6):
        file.write(step, {"loss": 1 / step})
    file.close()
    file = Jsonl(path, 3)
    file.write(4, {"loss": 9.0})
    file.sync()
    file.close()
    assert written(path) == [1, 2, 3, 4]
    assert json.loads(path.read_text().splitlines()[2]) == {"step": 3, "loss": 1 / 3}


def test_a_torn_last_line_is_dropped_and_one_in_the_middle_is_an_error(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"ste')
    truncate(path, 5)
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'
    path.write_text('{"step": 1}\n{"ste\n{"step": 3}\n')
    with pytest.raises(FrisketError, match="line 2 is not JSON"):
        truncate(path, 5)


def test_a_complete_last_line_without_its_end_is_kept(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}')
    truncate(path, 2)
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'


def test_tensorboard_gets_the_numbers(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracker = TensorBoard(tmp_path, {}, 0)
    tracker.write(1, {"loss": 2.0})
    tracker.write(2, {"loss": 1.0})
    tracker.close()
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    assert [(e.step, e.value) for e in read.Scalars("loss")] == [(1, 2.0), (2, 1.0)]


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_missing_library_names_its_extra(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=r"frisket\[track\]"):
        open_trackers([name], tmp_path, {}, 0)


class Recorder:
    """Stands for wandb and trackio: `init` gives a run that remembers what it was told."""

    def init(self, **options):
        self.options, self.told, self.open = options, [], True
        return self

    def log(self, record, **options):
        self.told.append((record, options))

    def finish(self):
        self.open = False


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_hosted_trackers_are_told_of_every_record_and_closed(tmp_path, monkeypatch, name):
    library = Recorder()
    monkeypatch.setitem(sys.modules, name, library)
    (tracker,) = open_trackers([name], tmp_path / "run", {"lr": 1}, 0)
    tracker.write(3, {"loss": 0.5})
    tracker.sync()
    tracker.close()
    assert library.options["name"] == "run"
    assert library.options["config"] == {"lr": 1}
    ((record, options),) = library.told
    assert {**record, **options}["step"] == 3
    assert record["loss"] == 0.5
    assert not library.open


def test_an_unknown_tracker_is_refused(tmp_path):
    with pytest.raises(FrisketError, match="did you mean 'tensorboard'"):
        open_trackers(["tensorbord"], tmp_path, {}, 0)
