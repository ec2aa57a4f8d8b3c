import math

import matplotlib
import pytest
import torch
from jaxtyping import TypeCheckError

from frisket.core import FrisketError
from frisket.data import series
from frisket.data.series import Series, Sines


def test_sines_are_the_stated_function_of_seed_and_index():
    config = Sines(channels=3, length=32, frequencies=(2.0, 2.0))
    x = config.open().batch(torch.tensor([9, 4, 9]))["x"]
    assert x.shape == (3, 3, 32)
    assert torch.equal(x[0], x[2])
    assert torch.equal(x[1], config.open().batch(torch.tensor([4]))["x"][0])
    spectrum = torch.fft.rfft(x).abs()
    assert torch.allclose(spectrum[..., 2], torch.full((3, 3), 16.0), atol=1e-3)
    assert spectrum[..., [0, 1, 3, 4]].max() < 1e-3
    # a sine obeys x[j+1] + x[j-1] = 2 cos(w) x[j]
    w = 2 * math.pi * 2 / 32
    assert torch.allclose(x[..., 2:] + x[..., :-2], 2 * math.cos(w) * x[..., 1:-1], atol=1e-5)
    assert not torch.equal(config.open("test").batch(torch.tensor([9]))["x"][0], x[0])


@pytest.mark.parametrize(
    ("name", "channels", "rows"), [("goog", 6, 1047), ("stocks", 7, 391), ("msft", 6, 65), ("eeg", 4, 800)]
)
def test_the_shipped_series(name, channels, rows):
    config = Series(name=name, length=8)
    train, test = config.open("train"), config.open("test")
    cut = int(0.8 * rows)
    assert (train.info.size, test.info.size) == (cut - 7, rows - cut - 7)
    batch = train.batch(torch.arange(train.info.size))
    assert batch["x"].shape == (cut - 7, channels, 8)
    assert torch.isfinite(batch["x"]).all()
    assert train.values.mean(1).abs().max() < 1e-4
    assert torch.allclose(train.values.std(1, correction=0), torch.ones(channels), atol=1e-3)
    assert len(train.info.extra["channels"]) == channels


def test_prices_run_forward_in_time():
    goog = Series(name="goog", length=2).open().batch(torch.arange(800))["x"][:, 0, 0]
    assert goog[-100:].mean() > goog[:100].mean() + 1
    names, values = series._read("msft")
    assert names[0] == "Open"
    assert (values[0, 0], values[-1, 0]) == (26.09, 29.76)


def test_returns_are_the_log_ratios():
    _, values = series._read("stocks")
    source = Series(name="stocks", view="returns", length=4).open()
    x = source.batch(torch.tensor([10]))["x"][0, 0].double()
    mean, std = source.info.extra["mean"][0], source.info.extra["std"][0]
    want = [math.log(values[j + 1, 0] / values[j, 0]) for j in range(10, 14)]
    assert (x * std + mean).tolist() == pytest.approx(want, abs=1e-6)


def test_refusals(monkeypatch, tmp_path):
    with pytest.raises((FrisketError, TypeCheckError), match="'gold'"):
        Series(name="gold")  # type: ignore[arg-type]
    with pytest.raises(FrisketError, match=r"data\.view = 'returns'"):
        Series(name="eeg", view="returns")
    with pytest.raises(FrisketError, match="test part has 13 rows"):
        Series(name="msft", length=14).open("test")
    with pytest.raises(FrisketError, match=r"data\.frequencies"):
        Sines(frequencies=(3.0, 1.0))
    monkeypatch.setattr(matplotlib, "get_data_path", lambda: str(tmp_path))
    series._read.cache_clear()
    with pytest.raises(FrisketError, match=r"does not ship goog\.npz"):
        Series().open()
    series._read.cache_clear()
