"""`scenes`: drawn pictures of real handwritten digits and shapes, whose every property is known exactly.

A `Scene` is a record; images of any size, segmentations, depth, captions, edits, clips and holes are functions of it.
"""

from frisket.data.scenes.draw import Dial, draw, draw_scene
from frisket.data.scenes.render import render, render_table
from frisket.data.scenes.scene import Ground, Light, Object, Scene, Texture
from frisket.data.scenes.source import Clips, Scenes
from frisket.data.scenes.table import Table, scenes_of, table_of
from frisket.data.scenes.words import parse, words

__all__ = [
    "Clips", "Dial", "Ground", "Light", "Object", "Scene", "Scenes", "Table", "Texture", "draw", "draw_scene",
    "parse", "render", "render_table", "scenes_of", "table_of", "words",
]  # fmt: skip
