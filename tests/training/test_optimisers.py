import pytest
import torch
from torch import nn

from frisket.core.config import from_config, override, to_config
from frisket.core.errors import FrisketError
from frisket.training.optimisers import AdamW, Adan, Group, Muon, Tag, groups, set_rate, tags


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(5, 4)
        self.middle = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)
        self.patch = nn.Conv2d(1, 4, 2)
        self.head = nn.Linear(4, 2)


def test_parameters_are_tagged_by_what_they_are():
    task = nn.Module()
    task.model, task.teacher = Small(), Small()
    found = tags(task, {"model": task.model})
    assert all(name.startswith("model.") for name in found)
    assert not any(p.requires_grad for p in task.teacher.parameters())
    hidden = {n for n, t in found.items() if t.hidden}
    assert hidden == {"model.middle.weight"}
    assert {n for n, t in found.items() if t.decay} == {
        "model.middle.weight", "model.head.weight", "model.patch.weight",
    }  # fmt: skip


def test_a_module_can_mark_its_parameters_and_their_rate():
    class Mark:
        def __init__(self, role):
            self.role = role

    task = Small()
    task.middle.marks = {"weight": Mark("output")}
    task.head.marks = {"weight": Mark("matrix")}
    task.head.weight.lr_scale = 0.25
    found = tags(task, {"model": task})
    assert not found["middle.weight"].hidden
    assert found["head.weight"] == Tag(hidden=True, decay=True, scale=0.25)
    assert {g.tag.scale for g in groups(task, found)} == {0.25, 1.0}


def test_frozen_parameters_stay_out_and_nothing_to_learn_is_an_error():
    task = Small()
    task.words.weight.requires_grad_(False)
    assert "words.weight" not in tags(task, {"model": task})
    with pytest.raises(FrisketError, match="no parameter that learns"):
        tags(task, {})


def quadratic(optimiser, steps=200):
    """Start and end of sum((w - goal)^2) over a hidden matrix and a vector."""
    generator = torch.Generator().manual_seed(0)
    matrix, vector = (nn.Parameter(torch.randn(*s, generator=generator)) for s in ((6, 4), (5,)))
    goal = torch.randn(6, 4, generator=generator)
    parts = optimiser.build([
        Group(Tag(hidden=True, decay=True), {"m": matrix}), Group(Tag(hidden=False, decay=False), {"v": vector}),
    ])  # fmt: skip
    values = []
    for step in range(steps):
        loss = (matrix - goal).square().sum() + (vector - 1).square().sum()
        values.append(loss.item())
        loss.backward()
        set_rate(parts, 1 - step / steps)
        for part in parts:
            part.step()
            part.zero_grad()
    return values[0], values[-1]


@pytest.mark.parametrize("optimiser", [AdamW(lr=0.05), Adan(lr=0.05), Muon(lr=0.1)], ids=lambda o: o.part_name)
def test_every_optimiser_solves_a_quadratic(optimiser):
    first, last = quadratic(optimiser)
    assert last < 1e-2 * first


def test_decay_falls_on_weights_only():
    weight, bias = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
    found = [Group(Tag(True, True), {"w": weight}), Group(Tag(False, False), {"b": bias})]
    for part in AdamW(lr=0.1, weight_decay=0.5).build(found):
        weight.grad, bias.grad = torch.zeros(2, 2), torch.zeros(2)
        part.step()
    torch.testing.assert_close(weight.detach(), torch.full((2, 2), 0.95))
    assert torch.equal(bias.detach(), torch.ones(2))


def test_fused_adamw_moves_and_remembers_as_the_plain_one_does():
    start = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    fused, plain = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    config = AdamW(lr=1e-2, weight_decay=0.1)
    (ours,) = config.build([Group(Tag(hidden=True, decay=True), {"w": fused})])
    torchs = torch.optim.AdamW([plain], lr=1e-2, betas=config.betas, eps=config.eps, weight_decay=0.1, fused=False)
    for step in range(5):
        for optimiser, p in ((ours, fused), (torchs, plain)):
            p.grad = (p.detach() * (step + 1)).sin()
            optimiser.step()
    assert torch.allclose(fused, plain, atol=1e-6)
    assert not torch.allclose(fused, start, atol=1e-2)
    assert {k: (v.shape, v.dtype) for k, v in ours.state[fused].items()} == {
        k: (v.shape, v.dtype) for k, v in torchs.state[plain].items()
    }


def test_muon_takes_hidden_matrices_and_adamw_the_rest():
    found = [Group(Tag(True, True), {"w": nn.Parameter(torch.ones(2, 2))}),
             Group(Tag(False, False), {"b": nn.Parameter(torch.ones(2))})]  # fmt: skip
    parts = Muon(lr=0.2, rest=0.5).build(found)
    assert [type(p).__name__ for p in parts] == ["Muon", "AdamW"]
    assert [p.param_groups[0]["lr"] for p in parts] == [0.2, 0.1]
    assert set_rate(parts, 0.5) == 0.1
    assert parts[1].param_groups[0]["lr"] == 0.05


def test_optimisers_are_values():
    for value in (AdamW(lr=0.1), Adan(), Muon(rest=0.3)):
        assert from_config(to_config(value)) == value
    assert override(AdamW(), "lr", "0.5").lr == 0.5


@pytest.mark.parametrize(
    ("cls", "changes", "field"),
    [(AdamW, {"lr": 0.0}, "lr"), (Adan, {"weight_decay": -1.0}, "weight_decay"), (Muon, {"rest": 0.0}, "rest"),
     (AdamW, {"betas": (0.9, 1.0)}, "betas")],
)  # fmt: skip
def test_bad_numbers_are_refused_by_name(cls, changes, field):
    with pytest.raises(FrisketError, match=f"optimiser.{field}"):
        cls(**changes)
