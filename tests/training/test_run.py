import torch

from frisket.training.run import on_device, rows_of


def test_rows_of_a_batch_reach_into_lists_and_dicts():
    batch = {"x": torch.arange(6), "caption": list("abcdef"), "more": {"y": torch.ones(6, 2)}}
    part = rows_of(batch, 2, 5)
    assert part["x"].tolist() == [2, 3, 4]
    assert part["caption"] == ["c", "d", "e"]
    assert part["more"]["y"].shape == (3, 2)


def test_only_tensors_move():
    moved = on_device({"x": torch.ones(2), "caption": ["a"]}, torch.device("meta"))
    assert moved["x"].device.type == "meta"
    assert moved["caption"] == ["a"]
