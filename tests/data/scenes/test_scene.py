import pytest

from frisket.core import FrisketError
from frisket.data.scenes import Object, Scene
from frisket.data.scenes.scene import Ground, Light, Texture, by_depth


def test_objects_stand_nearest_first():
    near, far = Object(label=1, depth=0.2), Object(label=11, depth=0.6)
    assert Scene(objects=by_depth([far, near])).objects == (near, far)
    with pytest.raises(FrisketError, match="nearest first"):
        Scene(objects=(far, near))


def test_kind_follows_from_the_label():
    assert [Object(label=v).kind for v in (0, 9, 10, 19)] == ["digit", "digit", "shape", "shape"]


def test_frame_of_an_aspect():
    assert Scene(aspect=2.0).half == (1.0, 0.5)
    assert Scene(aspect=0.5).half == (0.5, 1.0)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Object(label=20), "object.label"),
        (lambda: Object(label=0, instance=1797), "object.instance"),
        (lambda: Object(label=0, colour=10), "object.colour"),
        (lambda: Object(label=0, size=0.0), "object.size"),
        (lambda: Object(label=0, depth=1.0), "object.depth"),
        (lambda: Texture(kind=4), "texture.kind"),
        (lambda: Ground(colour=6), "ground.colour"),
        (lambda: Light(elevation=0.0), "light.elevation"),
        (lambda: Scene(aspect=0.0), "scene.aspect"),
    ],
)
def test_values_out_of_range_are_named(make, field):
    with pytest.raises(FrisketError, match=field):
        make()
