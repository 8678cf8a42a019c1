"""What is in a picture: the scene, drawn from a seed before anything is painted.

Every number comes from one Philox stream keyed by SHA-256 of ``pocket-v1/<domain>/<seed>/<index>``, so that
domains (source train, val, test, each model's training set) never share a picture.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

CLASSES = ("landbird", "waterbird")
BACKGROUNDS = ("land", "water")
COLOURS = ("white", "black", "red", "orange", "yellow", "pink")
OBJECTS = ("reed", "branch", "buoy", "rock")
SIZE = 64

ObjectRates = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Scene:
    """One picture's content. Places and lengths in pixels, angles in radians, ``facing`` -1 (left) or 1."""

    domain: str
    seed: int
    index: int
    class_name: str
    background: str
    colour: str
    object: str | None
    x: float
    y: float
    scale: float
    facing: int
    tilt: float
    neck: float
    plumpness: float
    horizon: float
    hue: float
    light: float

    @property
    def label(self) -> int:
        """Class index: 0 landbird, 1 waterbird (the order of the Waterbirds release)."""
        return CLASSES.index(self.class_name)

    @property
    def place(self) -> int:
        """Background index: 0 land, 1 water."""
        return BACKGROUNDS.index(self.background)


def stream(domain: str, seed: int, index: int, purpose: str = "scene") -> np.random.Generator:
    """The random stream of one picture, for one purpose ("scene", "paint", "caption")."""
    name = f"pocket-v1/{domain}/{seed}/{index}/{purpose}"
    return np.random.Generator(np.random.Philox(key=int.from_bytes(hashlib.sha256(name.encode()).digest()[:16])))


def equal_rates(rate: float) -> ObjectRates:
    """A total rate of small objects, spread evenly over the four kinds, the same for both classes."""
    return {name: {kind: rate / len(OBJECTS) for kind in OBJECTS} for name in CLASSES}


def check_rates(rates: ObjectRates) -> None:
    """Raise ValueError for an unknown class or kind, a rate below 0, or a class whose rates sum to more than 1."""
    if unknown := sorted(set(rates) - set(CLASSES)):
        raise ValueError(f"object rates for {unknown}: want classes of {CLASSES}")
    for of_class in rates.values():
        _check_kinds(of_class)


def _check_kinds(rates: Mapping[str, float]) -> None:
    unknown = set(rates) - set(OBJECTS)
    if unknown or sum(rates.values()) > 1 + 1e-9 or not all(rate >= 0 for rate in rates.values()):
        raise ValueError(f"object rates {dict(rates)}: want kinds of {OBJECTS}, each >= 0, summing to at most 1")


def draw_object(rng: np.random.Generator, rates: Mapping[str, float]) -> str | None:
    """At most one object, each kind with its rate; the rates of a class must sum to at most 1."""
    _check_kinds(rates)
    point = rng.random()
    for kind, edge in zip(OBJECTS, np.cumsum([rates.get(kind, 0.0) for kind in OBJECTS]), strict=True):
        if point < edge:
            return kind
    return None


def draw_scene(
    domain: str, seed: int, index: int, class_name: str, background: str, rates: ObjectRates | None = None
) -> Scene:
    """The scene of picture ``index`` of a domain, for a class and a background that the caller chose."""
    if class_name not in CLASSES or background not in BACKGROUNDS:
        raise ValueError(f"got {class_name!r} on {background!r}; want one of {CLASSES} on one of {BACKGROUNDS}")
    rng = stream(domain, seed, index)
    scale = rng.uniform(0.76, 1.18)
    return Scene(
        domain,
        seed,
        index,
        class_name,
        background,
        colour=COLOURS[int(rng.integers(len(COLOURS)))],
        object=draw_object(rng, (rates or {}).get(class_name, {})),
        scale=scale,
        x=32 + rng.uniform(-1, 1) * (31 - 22 * scale),
        y=38 + rng.uniform(-1, 1) * (13 - 7 * scale) + (1 - scale) * 4,
        facing=1 if rng.random() < 0.5 else -1,
        tilt=rng.uniform(-0.14, 0.14),
        neck=rng.uniform(0.85, 1.15),
        plumpness=rng.uniform(0.88, 1.1),
        horizon=rng.uniform(13, 30),
        hue=rng.uniform(-1, 1),
        light=rng.uniform(0.88, 1.08),
    )
