import numpy as np
import pytest

from frisket.data.scenes import store


def test_arrays_are_made_once_for_each_recipe(tmp_path, monkeypatch):
    monkeypatch.setenv("FRISKET_CACHE", str(tmp_path / "deep"))
    made = []

    def make():
        made.append(1)
        return {"a": np.arange(3) * len(made)}

    first, again, other = (store.stored("x", recipe, make) for recipe in ("r1", "r1", "r2"))
    assert first["a"].tolist() == again["a"].tolist() == [0, 1, 2]
    assert other["a"].tolist() == [0, 2, 4]
    assert len(list((tmp_path / "deep").iterdir())) == 2


def test_a_cache_that_cannot_be_written_only_warns(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FRISKET_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="could not be written"):
        assert store.stored("x", "r", lambda: {"a": np.ones(1)})["a"] == 1


def test_pickled_arrays_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("FRISKET_CACHE", str(tmp_path))
    store.stored("x", "r", lambda: {"a": np.ones(1)})
    np.savez(next(tmp_path.iterdir()), a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        store.stored("x", "r", lambda: {"a": np.ones(1)})


def test_digest_sees_names_values_and_types():
    a = {"a": np.arange(3)}
    assert store.digest(a) == store.digest({"a": np.arange(3)})
    others = [{"b": np.arange(3)}, {"a": np.arange(3) + 1}, {"a": np.arange(3, dtype=np.int16)}]
    assert len({store.digest(v) for v in [a, *others]}) == 4
