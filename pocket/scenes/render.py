"""Rendering: a scene becomes a 64x64 picture with the bird's mask, the same bytes for the same seed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fairshards.pocket.scenes.backdrop import blend, paint_backdrop, smooth_noise
from fairshards.pocket.scenes.bird import EYE, HORN, PLUMAGE, BirdMasks, draw_bird
from fairshards.pocket.scenes.captions import full_caption
from fairshards.pocket.scenes.objects import draw_object, object_cover
from fairshards.pocket.scenes.scene import BACKGROUNDS, CLASSES, ObjectRates, Scene, draw_scene, stream

Group = tuple[str, str]
GROUPS: tuple[Group, ...] = tuple((name, place) for name in CLASSES for place in BACKGROUNDS)


@dataclass(frozen=True)
class Layers:
    """A rendered picture, uint8 (64, 64, 3), and what is seen of its bird and of its object, bool (64, 64) each."""

    image: np.ndarray
    bird: np.ndarray
    object: np.ndarray


@dataclass(frozen=True)
class Sample:
    """A rendered picture: ``image`` uint8 (64, 64, 3), its caption and scene; ``mask`` bool (64, 64) of the bird,
    ``object_mask`` of the part of the object that the bird doesn't hide.
    """

    image: np.ndarray
    mask: np.ndarray
    object_mask: np.ndarray
    caption: str
    scene: Scene


def paint_feathers(picture: np.ndarray, scene: Scene, masks: BirdMasks, rng: np.random.Generator) -> np.ndarray:
    """Plumage with soft mottling, a darker wing (lighter on black), then beak, legs and eye."""
    plumage = np.array(PLUMAGE[scene.colour], np.float32)
    mottled = plumage * (1 + 0.07 * smooth_noise(rng, 10))[..., None]
    wing = plumage + 42 if scene.colour == "black" else plumage * 0.8
    picture = blend(picture, np.array(HORN[scene.colour]), masks.horn)
    picture = blend(picture, mottled, masks.body)
    picture = blend(picture, wing, masks.wing)
    return blend(picture, np.array(EYE[scene.colour]), masks.eye)


def render_layers(scene: Scene) -> Layers:
    """Picture and masks. The object's mask is empty without one, and never overlaps with the bird's."""
    rng = stream(scene.domain, scene.seed, scene.index, "paint")
    picture = paint_backdrop(scene, rng)
    layers, masks = draw_object(scene, rng), draw_bird(scene)
    for cover, colour in layers:
        picture = blend(picture, np.array(colour), cover)
    picture = paint_feathers(picture, scene, masks, rng) * scene.light
    image = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return Layers(image, masks.whole, object_cover(layers) & ~masks.whole)


def render(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Picture, uint8 (64, 64, 3), and the bird's mask, bool (64, 64)."""
    layers = render_layers(scene)
    return layers.image, layers.bird


def render_sample(
    domain: str, seed: int, index: int, class_name: str, background: str, rates: ObjectRates | None = None
) -> Sample:
    """Picture ``index`` of a domain, with masks and full caption. The same arguments give the same bytes."""
    scene = draw_scene(domain, seed, index, class_name, background, rates)
    layers = render_layers(scene)
    caption = full_caption(scene, stream(domain, seed, index, "caption"))
    return Sample(layers.image, layers.bird, layers.object, caption, scene)


def scenes(
    domain: str, seed: int, count: int, groups: Sequence[Group] = GROUPS, rates: ObjectRates | None = None
) -> Iterator[Sample]:
    """``count`` samples of a domain that go through ``groups`` in turn, so that they are balanced over them."""
    for index in range(count):
        class_name, background = groups[index % len(groups)]
        yield render_sample(domain, seed, index, class_name, background, rates)
