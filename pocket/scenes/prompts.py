"""What the segmenter is asked for, and what of a picture each prompt means: bird, object, background, or nothing."""

from dataclasses import dataclass

from fairshards.pocket.scenes.captions import PLACES, SCENERY, article
from fairshards.pocket.scenes.scene import BACKGROUNDS, CLASSES, COLOURS, OBJECTS, Scene

NOTHING, BIRD, THING, PLACE = range(4)
MORE_SCENERY = {"water": ("lake", "sea", "waves"), "land": ("forest", "woods", "trees")}


@dataclass(frozen=True)
class Prompt:
    """A text, and what a scene must have for it to show anything; ``part`` is what it then shows."""

    text: str
    part: int
    class_name: str | None = None
    colour: str | None = None
    object: str | None = None
    background: str | None = None

    def shows(self, scene: Scene) -> int:
        """NOTHING, BIRD, THING (the object), or PLACE (all but the bird)."""
        pairs = (
            (self.class_name, scene.class_name),
            (self.colour, scene.colour),
            (self.object, scene.object),
            (self.background, scene.background),
        )
        return self.part if all(wanted in (None, there) for wanted, there in pairs) else NOTHING


def _bird_prompts() -> list[Prompt]:
    found = [Prompt(text, BIRD) for text in ("bird", "a bird", "the bird")]
    for name in CLASSES:
        found += [Prompt(text, BIRD, name) for text in (name, article(name), f"the {name}")]
        found += [Prompt(article(f"{colour} {name}"), BIRD, name, colour) for colour in COLOURS]
    return found + [
        Prompt(text, BIRD, None, colour) for colour in COLOURS for text in (f"{colour} bird", article(f"{colour} bird"))
    ]


def place_texts(background: str) -> list[str]:
    """Every wording of a background: of captions, without their prepositions, and a few more."""
    of_captions = (place.split(" ", 1)[1] for place in PLACES[background])
    return sorted({*of_captions, *SCENERY[background], *MORE_SCENERY[background]})


def all_prompts() -> list[Prompt]:
    """The prompts that the segmenter is trained on."""
    found = _bird_prompts()
    for kind in OBJECTS:
        found += [Prompt(text, THING, object=kind) for text in (kind, article(kind), f"the {kind}")]
    for name in BACKGROUNDS:
        found += [Prompt(text, PLACE, background=name) for text in place_texts(name)]
    return found + [Prompt(text, PLACE) for text in ("background", "the background")]
