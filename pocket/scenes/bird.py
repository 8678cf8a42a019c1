"""The two birds as supersampled masks: body, wing, and horn (beak, legs and eye)."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from fairshards.pocket.scenes.scene import SIZE, Scene

OVERSAMPLE = 4
Points = list[tuple[float, float]]
CIRCLE = np.stack([np.cos(np.linspace(0, 6.283, 26)), np.sin(np.linspace(0, 6.283, 26))], axis=1)

PLUMAGE = {
    "white": (243, 243, 238),
    "black": (26, 25, 32),
    "red": (204, 26, 32),
    "orange": (246, 138, 18),
    "yellow": (252, 226, 44),
    "pink": (246, 136, 190),
}
HORN = {name: (48, 38, 40) for name in PLUMAGE} | {"white": (240, 140, 20), "black": (250, 170, 40)}
EYE = {name: (24, 20, 26) for name in PLUMAGE} | {"black": (240, 238, 230)}


class Stencil:
    """Draws a bird's parts in its own frame (x forward, y down, unit pixels at scale 1) on an oversampled mask."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.image = Image.new("L", (SIZE * OVERSAMPLE,) * 2)
        self.draw = ImageDraw.Draw(self.image)

    def place(self, points: np.ndarray) -> Points:
        """Bird frame to oversampled canvas: scale, tilt, mirror, shift."""
        scene = self.scene
        cos, sin = np.cos(scene.tilt), np.sin(scene.tilt)
        x = (points[:, 0] * cos - points[:, 1] * sin) * scene.scale * scene.facing + scene.x
        y = (points[:, 0] * sin + points[:, 1] * cos) * scene.scale + scene.y
        return [(float(a), float(b)) for a, b in zip(x * OVERSAMPLE, y * OVERSAMPLE, strict=True)]

    def polygon(self, *points: tuple[float, float]) -> None:
        self.draw.polygon(self.place(np.array(points, float)), fill=255)

    def ellipse(self, x: float, y: float, wide: float, high: float) -> None:
        self.draw.polygon(self.place(CIRCLE * (wide, high) + (x, y)), fill=255)

    def stroke(self, points: np.ndarray, width: float) -> None:
        pixels = max(1, round(width * self.scene.scale * OVERSAMPLE))
        self.draw.line(self.place(points), fill=255, width=pixels, joint="curve")

    def cover(self) -> np.ndarray:
        """Coverage (64, 64) float32 in [0, 1]."""
        return np.asarray(self.image.reduce(OVERSAMPLE), np.float32) / 255


@dataclass(frozen=True)
class BirdMasks:
    """Coverages (64, 64) float32 in [0, 1]: body (feathers), wing (inside it), horn (beak and legs), eye."""

    body: np.ndarray
    wing: np.ndarray
    horn: np.ndarray
    eye: np.ndarray

    @property
    def whole(self) -> np.ndarray:
        """All of the bird, bool (64, 64)."""
        return np.asarray(np.maximum(self.body, self.horn) >= 0.5)


def draw_waterbird(scene: Scene) -> BirdMasks:
    """Low body, raised tail, long curved neck, long beak; no legs to be seen."""
    body, wing, horn, eye = (Stencil(scene) for _ in range(4))
    high, tip = 6.6 * scene.plumpness, -19.0 * scene.neck
    body.ellipse(0, 2, 14.5, high)
    body.polygon((-8, -2), (-20, -6), (-12, 6))
    bend = np.linspace(0, 1, 9)
    curve = np.stack([9.5 + 3.2 * bend + 3.2 * np.sin(bend * 6.283), 2 + (tip - 2) * bend], axis=1)
    body.stroke(curve, 4.6)
    body.ellipse(13.4, tip, 4.0, 3.5)
    wing.ellipse(-2.5, 1.2, 8.0, high * 0.48)
    horn.polygon((16.4, tip - 1.8), (24.5, tip + 1.0), (16.4, tip + 2.3))
    eye.ellipse(14.2, tip - 0.6, 0.95, 0.95)
    return BirdMasks(body.cover(), wing.cover(), horn.cover(), eye.cover())


def draw_landbird(scene: Scene) -> BirdMasks:
    """Round body, head on the shoulders, short beak, straight tail, two legs."""
    body, wing, horn, eye = (Stencil(scene) for _ in range(4))
    high = 9.6 * scene.plumpness
    for foot in (-3.4, 2.8):
        horn.stroke(np.array([(foot + 0.6, high - 3), (foot, high + 7.5), (foot + 3.2, high + 7.5)]), 1.7)
    body.ellipse(0, -1, 10.8, high)
    body.polygon((-7, -5), (-20, 0), (-18.5, 4.5), (-6, 4))
    body.ellipse(7.2, -10.5 * scene.neck, 6.2, 5.9)
    wing.ellipse(-3.2, 0.2, 6.2, high * 0.46)
    horn.polygon((12.6, -12.6 * scene.neck), (17.6, -9.8 * scene.neck), (12.4, -8.2 * scene.neck))
    eye.ellipse(8.8, -11.6 * scene.neck, 1.1, 1.1)
    return BirdMasks(body.cover(), wing.cover(), horn.cover(), eye.cover())


def draw_bird(scene: Scene) -> BirdMasks:
    """The masks of the scene's bird."""
    return (draw_waterbird if scene.class_name == "waterbird" else draw_landbird)(scene)
