import numpy as np
import pytest
import torch
from sampling_fakes import tiny_pipeline

from frisket.core import FrisketError
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.shards import Job, generate, labels_of, make_parts, to_uint8


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return str(tiny_pipeline(channels=3).save_pretrained(tmp_path_factory.mktemp("shards") / "model"))


def job(source, **changes):
    return Job(source=source, **{"n": 10, "chunk": 4, "batch": 3, "labels": "uniform", "seed": 5} | changes)


def read(path):
    with np.load(path, allow_pickle=False) as file:
        return file["arr_0"], file["arr_1"]


@pytest.fixture(scope="module")
def one(source, tmp_path_factory):
    return generate(job(source), tmp_path_factory.mktemp("one"))


def test_layout_and_content(source, one):
    images, labels = read(one)
    assert images.shape == (10, 8, 8, 3)
    assert images.dtype == np.uint8
    assert labels.shape == (10,)
    assert set(labels.tolist()) <= {0, 1, 2, 3}
    x = Pipeline.from_pretrained(source).sample(10, seed=5, label=torch.from_numpy(labels))
    assert int(np.abs(to_uint8(x).astype(int) - images).max()) <= 1
    assert [f.name for f in one.parent.glob("part-*")] == []


def test_local_processes_write_the_same_bytes(source, one, tmp_path):
    other = generate(job(source), tmp_path, procs=2)
    assert other.read_bytes()[:64][:4] == b"PK\x03\x04"
    for a, b in zip(read(one), read(other), strict=True):
        assert np.array_equal(a, b)


def test_ranks_of_torchrun(source, one, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    generate(job(source), tmp_path)
    assert sorted(f.name for f in tmp_path.glob("part-*")) == ["part-000001.npz"]
    monkeypatch.setenv("RANK", "0")
    done = generate(job(source), tmp_path)
    assert np.array_equal(read(done)[0], read(one)[0])


def test_a_missing_rank_is_reported(source, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(FrisketError, match="1 parts are missing"):
        generate(job(source), tmp_path, patience=0.3)


def test_goes_on_where_it_was_cut_off(source, one, tmp_path, monkeypatch):
    make_parts(job(source), tmp_path, 0, 2)
    kept = {f.name: f.stat().st_mtime_ns for f in tmp_path.glob("part-*")}
    assert len(kept) == 2
    made = []
    plain = Pipeline.sample
    monkeypatch.setattr(Pipeline, "sample", lambda self, n, **k: made.append(k["first"]) or plain(self, n, **k))
    done = generate(job(source), tmp_path)
    assert made == [4]
    assert np.array_equal(read(done)[0], read(one)[0])
    generate(job(source), tmp_path)
    assert made == [4]


def test_a_folder_of_another_job_is_refused(source, one):
    with pytest.raises(FrisketError, match="another job"):
        generate(job(source, seed=6), one.parent)


def test_a_broken_part_is_named(source, tmp_path):
    make_parts(job(source), tmp_path, 0, 1)
    (tmp_path / "part-000001.npz").write_bytes(b"PK")
    with pytest.raises(FrisketError, match="part-000001"):
        generate(job(source), tmp_path)


def test_a_failed_process_is_reported(source, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(FrisketError, match="process 0 failed"):
        generate(job(source), tmp_path, procs=2)
    assert not (tmp_path / "samples.npz").exists()


def test_labels():
    ids = torch.arange(4000)
    uniform = labels_of(Job(source="", labels="uniform"), ids, 10)
    assert int(torch.bincount(uniform).min()) > 320
    assert torch.equal(uniform[100:110], labels_of(Job(source="", labels="uniform"), ids[100:110], 10))
    assert labels_of(Job(source="", labels="balanced"), ids[:5], 3).tolist() == [0, 1, 2, 0, 1]
    assert labels_of(Job(source=""), ids, 10) is None
    with pytest.raises(FrisketError, match="no classes"):
        labels_of(Job(source="", labels="uniform"), ids, 0)


def test_rounding_is_the_published_one():
    x = torch.linspace(0, 1, 4096).reshape(1, 1, 64, 64)
    wanted = torch.clamp(127.5 * (2 * x.double() - 1) + 128.0, 0, 255).to(torch.uint8)
    made = to_uint8(x)
    assert made.shape == (1, 64, 64, 3)
    assert int((torch.from_numpy(made[0, :, :, 0]).int() - wanted[0, 0].int()).abs().max()) == 0
    with pytest.raises(FrisketError, match="images"):
        to_uint8(torch.zeros(1, 2, 4, 4))


@pytest.mark.parametrize("change", [{"n": 0}, {"chunk": 0}, {"labels": "all"}])
def test_ranges(change):
    with pytest.raises(FrisketError, match="job"):
        Job(source="", **change)
