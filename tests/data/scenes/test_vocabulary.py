from frisket.data.scenes import vocabulary as v


def test_no_word_has_two_roles():
    words = [*v.CLASSES, *v.COLOURS, *v.GROUNDS, *v.TEXTURES, *v.SIZES, *{w for p in v.PLACES for w in p.split()}]
    assert len(words) == len(set(words))


def test_every_name_has_its_colour():
    assert len(v.COLOURS) == len(v.COLOUR_RGB)
    assert len(v.GROUNDS) == len(v.GROUND_RGB)
    assert len(v.CLASSES) == 20


def test_objects_stand_out_from_every_ground():
    far = [max(abs(a - b) for a, b in zip(x, y, strict=True)) for x in v.COLOUR_RGB for y in v.GROUND_RGB]
    assert min(far) > 0.15
