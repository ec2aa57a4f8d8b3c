import torch
from training_toys import WIDTH, Denoise, Points, trainer


def test_a_dry_run_counts_and_leaves_everything_as_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task = Denoise(depth=3)
    before = {n: v.clone() for n, v in task.state_dict().items()}
    cost = trainer(accumulate=2).dry_run(task, Points())
    learning = 3 * (WIDTH * WIDTH + WIDTH) + WIDTH
    assert (cost.parameters, cost.learning) == (learning, learning)
    assert cost.macs == 3 * WIDTH * WIDTH
    assert cost.tokens is None
    steps = 2 * 3 + 1  # AdamW keeps a counter for each parameter
    assert cost.held == 4 * (learning * (1 + 1 + 2 + 2) + steps)
    assert cost.peak > cost.held
    assert all(torch.equal(v, before[n]) for n, v in task.state_dict().items())
    assert not list(tmp_path.iterdir())
    assert "MACs        108 a sample" in cost.lines()


def test_the_loss_is_that_of_the_first_step(tmp_path):
    cost = trainer().dry_run(Denoise(), Points())
    assert trainer(1).fit(Denoise(), Points(), tmp_path).record["loss"] == cost.loss
