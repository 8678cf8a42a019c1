"""The small objects: reed, branch, buoy, rock. They stand beside the bird, at the lower left or right."""

import numpy as np
from PIL import Image, ImageDraw

from fairshards.pocket.scenes.scene import SIZE, Scene

OVERSAMPLE = 4
Layer = tuple[np.ndarray, tuple[int, int, int]]


class Sheet:
    """An oversampled mask in pixel coordinates around the object's foot."""

    def __init__(self, x: float, y: float) -> None:
        self.x, self.y = x, y
        self.image = Image.new("L", (SIZE * OVERSAMPLE,) * 2)
        self.draw = ImageDraw.Draw(self.image)

    def _place(self, points: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
        return [((self.x + x) * OVERSAMPLE, (self.y + y) * OVERSAMPLE) for x, y in points]

    def line(self, width: float, *points: tuple[float, float]) -> None:
        self.draw.line(self._place(points), fill=255, width=round(width * OVERSAMPLE), joint="curve")

    def polygon(self, *points: tuple[float, float]) -> None:
        self.draw.polygon(self._place(points), fill=255)

    def ellipse(self, left: float, top: float, right: float, bottom: float) -> None:
        corners = self._place(((left, top), (right, bottom)))
        self.draw.ellipse(corners, fill=255)

    def cover(self) -> np.ndarray:
        return np.asarray(self.image.reduce(OVERSAMPLE), np.float32) / 255


def draw_reed(x: float, y: float) -> list[Layer]:
    """Three pale stems with dark heads."""
    stems, heads = Sheet(x, y), Sheet(x, y)
    for foot, top, lean in ((-3.5, -20, -1.5), (0, -25, 0.5), (3.5, -18, 2.0)):
        stems.line(1.3, (foot, 0), (foot + lean, top))
        heads.ellipse(foot + lean - 1.5, top - 1, foot + lean + 1.5, top + 7)
    return [(stems.cover(), (214, 206, 128)), (heads.cover(), (84, 44, 20))]


def draw_branch(x: float, y: float) -> list[Layer]:
    """A forked stick leaning upwards."""
    wood = Sheet(x, y)
    wood.line(2.4, (-4, 0), (3, -20))
    wood.line(1.9, (-2, -7), (-7, -16))
    wood.line(1.9, (0.5, -12), (7, -17))
    return [(wood.cover(), (66, 42, 30))]


def draw_buoy(x: float, y: float) -> list[Layer]:
    """A red cone with a white band on a dark foot."""
    cone, band, foot = Sheet(x, y), Sheet(x, y), Sheet(x, y)
    cone.polygon((-5.5, -2), (-2, -16), (2, -16), (5.5, -2))
    band.polygon((-4.4, -6.5), (-3.2, -11), (3.2, -11), (4.4, -6.5))
    foot.ellipse(-6.5, -4, 6.5, 1)
    return [(foot.cover(), (60, 60, 70)), (cone.cover(), (214, 38, 34)), (band.cover(), (244, 244, 240))]


def draw_rock(x: float, y: float) -> list[Layer]:
    """A grey boulder with a lit top."""
    stone, top = Sheet(x, y), Sheet(x, y)
    stone.polygon((-8, 0), (-7, -6), (-3, -10), (3, -9.5), (7, -5), (8, 0))
    top.polygon((-6, -6), (-3, -9.4), (2.5, -9), (4, -6), (-1, -5))
    return [(stone.cover(), (112, 112, 120)), (top.cover(), (160, 160, 166))]


DRAWERS = {"reed": draw_reed, "branch": draw_branch, "buoy": draw_buoy, "rock": draw_rock}


def draw_object(scene: Scene, rng: np.random.Generator) -> list[Layer]:
    """Layers (coverage, colour) from back to front of the scene's object; none without one."""
    if scene.object is None:
        return []
    side = -1 if scene.x > 32 else 1
    x = 32 + side * rng.uniform(20, 25)
    return DRAWERS[scene.object](x, rng.uniform(52, 61))


def object_cover(layers: list[Layer]) -> np.ndarray:
    """Where the layers together cover at least half of a pixel, bool (64, 64)."""
    clear = np.ones((SIZE, SIZE), np.float32)
    for cover, _ in layers:
        clear = clear * (1 - cover)
    return clear <= 0.5
