import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.data.scenes import Ground, Light, Scene, Texture, render
from frisket.data.scenes.textures import RMS, centres, field, octaves, spectrum, turn, waves_of


def columns(**values):
    base = {"kind": 3, "seed": 5, "frequency": 7.0, "angle": 0.4, "slope": 0.5} | values
    kinds = {"kind": torch.int64, "seed": torch.int64}
    return {k: torch.tensor([v], dtype=kinds.get(k, torch.float64)) for k, v in base.items()}


def lines(picture):
    """Amplitude of each frequency (fx >= 0 half plane) of a real picture, as {(fx, fy): amplitude}."""
    f = np.fft.fft2(picture) / picture.size
    n = len(picture)
    signed = np.fft.fftfreq(n, 1 / n).round().astype(int)
    return {(signed[j], signed[i]): 2 * abs(f[i, j]) for i in range(n) for j in range(n) if abs(f[i, j]) > 1e-5}


@pytest.mark.parametrize("n", [16, 32, 64])
def test_grain_has_exactly_the_stated_line_spectrum(n):
    texture = Texture(kind=3, seed=11)
    wanted = {}
    for fx, fy, amplitude, phase in spectrum(texture, n / 2):
        for sign in (1, -1):
            at = (sign * round(fx), sign * round(fy))
            wanted[at] = wanted.get(at, 0) + sign * amplitude * np.exp(1j * sign * phase) / 1j
    found = lines(field(waves_of(columns(seed=11), n / 2), (n, n))[0].numpy())
    wanted = {k: abs(v) for k, v in wanted.items() if abs(v) > 1e-5}
    assert found.keys() == wanted.keys()
    for at, amplitude in wanted.items():
        assert found[at] == pytest.approx(amplitude, abs=1e-4)
    assert max(max(abs(a), abs(b)) for a, b in found) >= n / 4  # the last octave below the limit is there


def test_a_larger_grid_adds_detail_and_keeps_the_rest():
    coarse, fine = spectrum(Texture(kind=3, seed=2), 8.0), spectrum(Texture(kind=3, seed=2), 64.0)
    assert set(coarse) <= set(fine)
    assert len(fine) > len(coarse)
    assert all(max(abs(w[0]), abs(w[1])) >= 8 for w in set(fine) - set(coarse))


def test_variance_of_grain_nears_its_stated_value():
    power = sum(a * a / 2 for _, _, a, _ in spectrum(Texture(kind=3, seed=1, slope=1.0), 2.0**12))
    assert power == pytest.approx(RMS**2, rel=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(0, 2**31 - 1), st.floats(0, math.pi), st.floats(2, 30), st.integers(8, 40))
def test_field_is_the_sum_of_its_waves_below_the_limit(kind, seed, angle, frequency, n):
    w = waves_of(columns(kind=kind, seed=seed, angle=angle, frequency=frequency), n / 2 * math.sqrt(2))
    one = torch.ones(1, dtype=torch.float64)
    w = turn(w, 0.3 * one, 0.1 * one, -0.2 * one)
    size = (n, n + 5)
    xs, ys = centres(size)
    total = torch.zeros(size, dtype=torch.float64)
    for fx, fy, a, p in zip(*(v[0] for v in (w.fx, w.fy, w.amplitude, w.phase)), strict=True):
        if abs(fx) < n / 2 and abs(fy) < n / 2:
            total += a * torch.sin(2 * math.pi * (fx * xs + fy * ys[:, None]) + p)
    torch.testing.assert_close(field(w, size)[0], total.float(), atol=2e-5, rtol=0)


def test_textures_move_and_turn_with_what_they_cover():
    w, one = waves_of(columns(kind=1, frequency=4.0), 32.0), torch.ones(1, dtype=torch.float64)
    still = field(turn(w, 0 * one, 0 * one, 0 * one), (64, 64))[0]
    moved = field(turn(w, 0 * one, one * 5 / 64, one * -3 / 64), (64, 64))[0]
    torch.testing.assert_close(moved[:-3, 5:], still[3:, :-5], atol=1e-4, rtol=0)
    turned = field(turn(w, one * math.pi / 2, 0 * one, 0 * one), (64, 64))[0]
    torch.testing.assert_close(turned, still.rot90(-1, (0, 1)), atol=1e-4, rtol=0)


def test_the_picture_of_a_ground_carries_the_spectrum():
    ground = Ground(colour=2, texture=Texture(kind=3, seed=4, contrast=0.3))
    x = render(Scene(ground=ground, light=Light(level=1.0)), (32, 32))
    base = x.mean((1, 2))
    found = lines((x[1] / base[1]).numpy())
    wanted = {(abs(round(fx)), abs(round(fy))): 0.3 * a for fx, fy, a, _ in spectrum(ground.texture, 16.0)}
    found.pop((0, 0))
    assert {(abs(a), abs(b)) for a, b in found} == set(wanted)


def test_plain_has_no_waves_and_octaves_count_below_the_limit():
    assert spectrum(Texture(kind=0), 100.0) == []
    assert [octaves(float(v)) for v in (1, 2, 3, 8, 16, 17)] == [1, 1, 2, 3, 4, 5]
    assert len(spectrum(Texture(kind=1, frequency=7.0), 16.0)) == 1
    assert len(spectrum(Texture(kind=2, frequency=7.0), 16.0)) == 2
    assert spectrum(Texture(kind=1, frequency=20.0, angle=0.0), 16.0) == []
