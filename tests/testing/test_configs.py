from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from frisket.core import register
from frisket.testing import check_config


@register("toy/sound-config")
@dataclass(frozen=True, kw_only=True)
class Sound:
    sizes: tuple[int, ...] = (1, 2)


@register("toy/thawed-config")
@dataclass(kw_only=True)
class Thawed:
    size: int = 1


@register("toy/positional-config")
@dataclass(frozen=True)
class Positional:
    size: int = 1


@dataclass(frozen=True, kw_only=True)
class Nameless:
    size: int = 1


@register("toy/listed-config")
@dataclass(frozen=True, kw_only=True)
class Listed:
    sizes: list = field(default_factory=lambda: [1, 2])


def test_a_sound_config_passes():
    check_config(Sound())


@pytest.mark.parametrize(
    ("part", "complaint"),
    [(Thawed(), "is not frozen"), (Positional(), "positional fields"), (Nameless(), "is not registered"),
     (Listed(), "does not come back from its config"), (3, "is not a dataclass")],
)  # fmt: skip
def test_a_broken_promise_is_named(part, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_config(part)
