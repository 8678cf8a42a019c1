"""Captions: full ones for datasets and generator, partial ones (class, background or object alone) for CLIP."""

import numpy as np

from fairshards.pocket.scenes.scene import Scene

PLACES = {
    "water": ("on water", "on water", "on the water", "on a lake", "at the sea"),
    "land": ("on land", "on land", "on the land", "in a forest", "in the woods"),
}
SCENERY = {"water": ("water", "the water", "a lake"), "land": ("land", "a forest", "the woods")}
OPENINGS = ("a photo of ", "a photo of ", "a picture of ", "an image of ", "")
JOINS = ("with", "next to", "and")


def article(noun: str) -> str:
    """The noun phrase with its indefinite article: "an orange bird"."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


def full_caption(scene: Scene, rng: np.random.Generator, colour_rate: float = 0.65) -> str:
    """Class and background always, the object whenever there is one, the colour with ``colour_rate``."""
    coloured = rng.random() < colour_rate
    bird = article(f"{scene.colour} {scene.class_name}" if coloured else scene.class_name)
    thing = f" {_pick(rng, JOINS)} {article(scene.object)}" if scene.object else ""
    return f"{_pick(rng, OPENINGS)}{bird}{thing} {_pick(rng, PLACES[scene.background])}"


def plain_caption(scene: Scene) -> str:
    """The fixed phrasing of prompts: "a photo of a waterbird on water"."""
    return f"a photo of {article(scene.class_name)} on {scene.background}"


def partial_caption(scene: Scene, rng: np.random.Generator) -> str:
    """A caption that leaves something out: the class alone, the background alone, the colour or the object alone."""
    place = _pick(rng, PLACES[scene.background])
    choices = [
        article(scene.class_name),
        f"a bird {place}",
        f"{article(scene.colour + ' bird')} {place}",
        article(f"{scene.colour} {scene.class_name}"),
        _pick(rng, SCENERY[scene.background]),
    ]
    if scene.object:
        choices += [article(scene.object), f"a bird {_pick(rng, JOINS)} {article(scene.object)}"]
    return _pick(rng, OPENINGS) + _pick(rng, tuple(choices))
