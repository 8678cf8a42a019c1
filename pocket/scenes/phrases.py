"""Captions with the phrases that are in them: foreground objects without the bird, the background, another place."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fairshards.pocket.scenes.captions import PLACES, article, full_caption
from fairshards.pocket.scenes.render import GROUPS
from fairshards.pocket.scenes.scene import Scene, draw_scene, equal_rates, stream
from fairshards.pocket.scenes.wordings import DETERMINERS, HELDOUT, LEARNT, PLURAL, Wordings, all_words

ONSETS = (
    "b",
    "d",
    "f",
    "g",
    "h",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "v",
    "w",
    "z",
    "bl",
    "br",
    "ch",
    "cl",
    "cr",
    "dr",
    "fl",
    "gr",
    "pl",
    "pr",
    "sh",
    "sl",
    "sp",
    "st",
    "tr",
    "th",
    "wh",
    "y",
    "j",
    "",
)
VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ee", "oo", "ou", "y", "ar", "er", "or")
CODAS = ("", "", "", "n", "r", "s", "t", "l", "m", "d", "ck", "ng", "st", "nd", "ll", "p", "w")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
KNOWN_WORDS = all_words(LEARNT) | all_words(HELDOUT)
POCKET_RATE = 0.2
INSTRUCTION_RATE = 0.15
UNKNOWN_RATE = 1.4
INVENTION_RATE = 0.25
INVENTED = {
    "openings": (
        "a {w} of ",
        "a {w} of ",
        "the {w} of ",
        "an old {w} of ",
        "a {w} {w} of ",
        "a {w} showing ",
        "{w} of ",
    ),
    "templates": (
        "{w} is {bird}{things} {place}",
        "{w} is {bird}{things}, {place}",
        "{w} {w} {bird}{things} {place}",
        "{w} {bird}{things} {place}",
        "{opening}{bird}{things} {v} {place}",
        "{w}: {bird}{things} {place}",
    ),
    "turned": (
        "{place} {w} {w} {bird}{things}",
        "{place} {w} is {bird}{things}",
        "{place}: {bird}{things}",
        "{place}, {w} {bird}{things}",
        "{opening}{bird} {place},{things}",
        "{w} is {bird} {place}{things}",
    ),
    "placeless": ("{w} is {bird}{things}", "{w} {bird}{things}", "{w} {w} {bird}{things}"),
    "joins": ("{w}", "{w}", "{v}", "{v} by", "{w} with", "{w} to", "{v} with", "{v} at", "{w} of"),
    "prepositions": (
        "{w}",
        "{w}",
        "{v} on",
        "{v} in",
        "{v} across",
        "{v} {w}",
        "at the {w} of",
        "in the {w} of",
        "on the {w} of",
        "{v} over",
    ),
    "instructions": (
        "{w} all {w} and {w} {phrase}",
        "{w}: the {w} is {phrase}",
        "{w} {w} but {noun}",
        "{w} {phrase} {w} to {phrase}",
        "the {w} answer is {noun}",
        "{w}: {w} {phrase} as {noun}",
        "{w} what was {w} and {w} {noun}",
        "{w} {noun}",
        '{w} {w} is {{"foreground": [], "background": "{noun}"}}',
        "{w} {w} {w} {phrase} and {phrase}",
    ),
    "breaks": (". ", "! ", " - ", " | "),
}
WATERS = {plural for noun in (*LEARNT.waters, *HELDOUT.waters) for plural in (noun, f"{noun}s")}
OBJECT_COUNTS = (0, 0, 0, 1, 1, 1, 1, 2)


@dataclass(frozen=True)
class Phrases:
    """What is extracted from a caption; ``background`` and ``alternative`` are empty where it names no place."""

    foreground: tuple[str, ...]
    background: str
    alternative: str

    def to_json(self) -> str:
        """The extractor's answer: {"foreground": ["a reed"], "background": "the woods", "alternative": "water"}."""
        fields = {"foreground": self.foreground, "background": self.background, "alternative": self.alternative}
        return json.dumps(fields, ensure_ascii=False)


def alternative_to(place: str) -> str:
    """A place of the other kind: "land" for a place that is known to be water, else "water"; "" for no place."""
    if not place:
        return ""
    return "land" if place.split()[-1] in WATERS else "water"


def choose(rng: np.random.Generator, options: Sequence[str]) -> str:
    """One of the options; several times faster than the generator's own integers."""
    return options[int(rng.random() * len(options))]


def nonsense(rng: np.random.Generator) -> str:
    """A word that nobody knows: up to three syllables, or now and then just letters and digits."""
    while True:
        if rng.random() < 0.12:
            word = "".join(choose(rng, LETTERS) for _ in range(3 + int(rng.random() * 5)))
        else:
            parts = (ONSETS, VOWELS, CODAS) * (1 + int(rng.random() * 3))
            word = "".join(choose(rng, part) for part in parts)
        if len(word) > 2 and word not in KNOWN_WORDS:
            return word


def verb_form(rng: np.random.Generator) -> str:
    """A nonsense verb: what tells "sitting" and "seated" from a noun is how they end."""
    return nonsense(rng) + choose(rng, ("ing", "ing", "ed", "en"))


class Writer:
    """Writes one caption. ``unknown`` scales how often a word is nonsense; ``fresh`` tells whether a wording was used
    that isn't among the ``known`` ones. ``invents`` is the rate of sentence forms, openings, joins, prepositions and
    instructions that nobody knows.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        own: Wordings,
        known: Wordings | None = None,
        unknown: float = 1.0,
        invents: float = 0.0,
    ) -> None:
        self.rng, self.own, self.known, self.unknown, self.fresh = rng, own, known, unknown, False
        self.invents = invents

    def chance(self, rate: float) -> bool:
        return bool(self.rng.random() < rate)

    def pick(self, options: tuple[str, ...]) -> str:
        return choose(self.rng, options)

    def word(self, kind: str, nonsense_rate: float = 0.0, known: bool = False) -> str:
        """A wording of a kind: nonsense at a rate; where there are known ones, three in ten (or all) are those."""
        if self.chance(nonsense_rate * self.unknown):
            return nonsense(self.rng)
        familiar = self.known is not None and (known or self.chance(0.3))
        if not known and kind in INVENTED and self.chance(self.invents):
            return self.invent(self.pick(INVENTED[kind]))
        source = self.known if familiar and self.known else self.own
        self.fresh |= self.known is not None and not familiar
        options: tuple[str, ...] = getattr(source, kind)
        return self.pick(options)

    def invent(self, form: str) -> str:
        """The form with nonsense for each {w}, and a nonsense verb for each {v}."""
        for name, word in (("{w}", nonsense), ("{v}", verb_form)):
            while name in form:
                form = form.replace(name, word(self.rng), 1)
        return form

    def noun_phrase(self, noun: str, adjective_rate: float, kind: str = "adjectives") -> str:
        """The noun with an article or a number, and an adjective (or another ``kind`` of word) at a rate."""
        if self.chance(adjective_rate):
            noun = f"{self.word(kind, 0.25)} {noun}"
        shown = self.pick(DETERMINERS)
        plural = noun if noun.endswith("s") or shown not in PLURAL else f"{noun}s"
        return article(noun) if shown == "a" else f"{shown} {plural}"

    def bird(self) -> str:
        kind = "colours" if self.chance(0.7) else "adjectives"
        return self.noun_phrase(self.word("birds", 0.2), 0.65, kind)

    def place(self) -> str:
        """The place phrase, bare ("water", "land") in three of ten."""
        wet = self.chance(0.5)
        if self.chance(0.3):
            return "water" if wet and self.chance(0.6) else self.word("bare_lands", 0.4)
        return self.noun_phrase(self.word("waters" if wet else "lands", 0.35), 0.35)

    def things(self, known_joins: bool) -> tuple[str, ...]:
        """Up to two objects, each as (join, phrase); what ``caption`` writes of them is " with a reed and a rock"."""
        count = OBJECT_COUNTS[int(self.rng.random() * len(OBJECT_COUNTS))]
        self.joined = [" " + self.word("joins", 0.0 if known_joins else 0.15, known_joins) for _ in range(count)]
        return tuple(self.noun_phrase(self.word("objects", 0.4), 0.3) for _ in range(count))

    def caption(self) -> tuple[str, Phrases]:
        """A caption and its phrases. Unknown joins and prepositions come only where their place tells them apart."""
        form = self.pick(("templates",) * 6 + ("turned", "turned", "placeless"))
        free = form == "templates"
        things, place = self.things(not free), "" if form == "placeless" else self.place()
        preposition = self.word("prepositions", 0.15 if free else 0.0, not free)
        text = self.word(form).format(
            opening=self.word("openings"),
            bird=self.bird(),
            place=f"{preposition} {place}",
            things="".join(f"{join} {thing}" for join, thing in zip(self.joined, things, strict=True)),
        )
        return text, Phrases(things, place, alternative_to(place))

    def instruction(self) -> str:
        """Somebody's attempt to change the answer."""
        text, fields = self.word("instructions"), {"noun": self._noun, "phrase": self._phrase}
        for name, fill in fields.items():
            while f"{{{name}}}" in text:
                text = text.replace(f"{{{name}}}", fill(), 1)
        return text.replace("{{", "{").replace("}}", "}")

    def _noun(self) -> str:
        return self.word(self.pick(("objects", "lands", "waters", "birds")), 0.4)

    def _phrase(self) -> str:
        return self.noun_phrase(self._noun(), 0.3)


def with_instruction(writer: Writer, caption: str) -> str:
    """The caption with an instruction before or after it, which changes nothing of what is in the picture."""
    pair = [caption, writer.instruction()]
    return writer.word("breaks").join(pair if writer.chance(0.6) else pair[::-1])


def pocket_phrases(scene: Scene, caption: str) -> Phrases:
    """The phrases of a pocket picture's full caption."""
    tail = max((place for place in PLACES[scene.background] if caption.endswith(f" {place}")), key=len)
    place = tail.split(" ", 1)[1]
    return Phrases((article(scene.object),) if scene.object else (), place, alternative_to(place))


def pocket_caption(domain: str, index: int, rng: np.random.Generator) -> tuple[str, Phrases]:
    """A full caption of the pocket world, as pocket-captioner writes them, and its phrases."""
    scene = draw_scene(domain, 0, index, *GROUPS[index % len(GROUPS)], equal_rates(0.5))
    caption = full_caption(scene, rng, colour_rate=0.9)
    return caption, pocket_phrases(scene, caption)


def learnt_caption(rng: np.random.Generator) -> tuple[str, Phrases]:
    """A training caption and its phrases: of the pocket world, or of the wide grammar."""
    writer = Writer(rng, LEARNT, unknown=UNKNOWN_RATE, invents=INVENTION_RATE)
    if writer.chance(POCKET_RATE):
        text, phrases = pocket_caption("extractor", int(rng.integers(2**31)), rng)
    else:
        text, phrases = writer.caption()
    if writer.chance(INSTRUCTION_RATE):
        text = with_instruction(writer, text)
    return text + writer.pick(("", "", "", "", ".")), phrases


def _heldout_writer(index: int, purpose: str, write: Callable[[Writer], tuple[str, Phrases]]) -> tuple[str, Phrases]:
    rng = stream("extractor-heldout", 0, index, purpose)
    while True:
        writer = Writer(rng, HELDOUT, LEARNT, unknown=0.3)
        text, phrases = write(writer)
        if writer.fresh:
            return text, phrases


def heldout_caption(index: int) -> tuple[str, Phrases]:
    """Caption ``index`` of those with at least one wording never seen in training, on average with most of them."""
    return _heldout_writer(index, "caption", Writer.caption)


def instructed_caption(index: int) -> tuple[str, Phrases]:
    """A held-out caption with a held-out instruction inside it."""

    def write(writer: Writer) -> tuple[str, Phrases]:
        text, phrases = writer.caption()
        return with_instruction(writer, text), phrases

    return _heldout_writer(index, "instructed", write)
