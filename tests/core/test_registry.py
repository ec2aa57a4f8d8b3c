from __future__ import annotations

from dataclasses import dataclass

import pytest

from frisket.core import FrisketError, lookup, names, register, registry


@pytest.fixture(autouse=True)
def _own_parts(monkeypatch):
    names()  # what loading brings must outlive the copy
    monkeypatch.setattr(registry, "_parts", dict(registry._parts))


def part(name: str, **kwargs):
    @register(name, **kwargs)
    @dataclass(frozen=True, kw_only=True)
    class Part:
        size: int = 1

    return Part


def test_a_registered_class_knows_its_name_and_source_and_is_found_by_it():
    cls = part("toy/one", cite="A. Author. A title. 2020. arXiv:2001.00001")
    assert cls.part_name == "toy/one"
    assert cls.part_cite.endswith("2001.00001")
    assert lookup("toy/one") is cls


def test_names_of_a_slot_are_sorted_and_are_that_slots_only():
    part("slot-of-one-test/b"), part("slot-of-one-test/a"), part("toyish/c")
    assert names("slot-of-one-test") == ["slot-of-one-test/a", "slot-of-one-test/b"]
    assert {"slot-of-one-test/a", "toyish/c"} <= set(names())


def test_two_classes_cannot_share_a_name():
    part("toy/one")
    with pytest.raises(ValueError, match="already registered"):

        @register("toy/one")
        @dataclass(frozen=True, kw_only=True)
        class Other:
            pass


def test_a_module_imported_again_may_register_again():
    first, second = part("toy/one"), part("toy/one")
    assert first is not second
    assert lookup("toy/one") is second


def test_an_unknown_name_is_refused_with_the_nearest():
    part("toy/cosine")
    with pytest.raises(FrisketError, match="did you mean 'toy/cosine'"):
        lookup("toy/cosin")


def test_parts_of_a_room_are_found_without_importing_it_first():
    assert "codec/pixels" in names("codec")
    assert "data/digits" in names("data")


def test_a_room_that_fails_to_import_fails_again_instead_of_going_missing(monkeypatch):
    def broken(name):
        raise RuntimeError(f"no {name}")

    monkeypatch.setattr(registry, "_loaded", set())
    monkeypatch.setattr(registry.importlib, "import_module", broken)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"no frisket\.data"):
            names()


def test_a_field_that_saved_configs_could_not_tell_from_the_name_is_refused():
    with pytest.raises(ValueError, match="field called 'part'"):

        @register("toy/shadowing")
        @dataclass(frozen=True, kw_only=True)
        class Shadowing:
            part: int = 0
