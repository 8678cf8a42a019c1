"""The text encoder's head start: what captions name, and that the encoder learns to tell it."""

from pathlib import Path

import pytest
import torch

from fairshards.pocket.networks.tokenizer import new_tokenizer
from fairshards.pocket.scenes.scene import BACKGROUNDS, CLASSES, COLOURS, OBJECTS
from fairshards.pocket.training.train_diffusion import PHRASINGS, all_captions, phrase, tokenize
from fairshards.pocket.training.train_text import named, train_text


@pytest.mark.parametrize(
    ("caption", "class_name", "background", "colour", "thing"),
    [
        ("a photo of a red landbird in the woods", "landbird", "land", "red", None),
        ("a waterbird next to a rock at the sea", "waterbird", "water", None, "rock"),
        ("an orange bird", None, None, "orange", None),
        ("a forest", None, "land", None, None),
        ("", None, None, None, None),
    ],
)
def test_a_caption_names_what_it_says_and_nothing_else(
    caption: str, class_name: str | None, background: str | None, colour: str | None, thing: str | None
) -> None:
    given = (class_name, background, colour, thing)
    values = (CLASSES, BACKGROUNDS, COLOURS, OBJECTS)
    expected = [known.index(value) if value else len(known) for known, value in zip(values, given, strict=True)]
    assert named(caption) == expected


def test_every_phrasing_keeps_its_caption() -> None:
    captions, chosen = all_captions(6)
    assert len(set(captions)) == len(captions) and chosen.shape == (6, PHRASINGS)
    assert all(captions[chosen[index, number]] == phrase(index, number) for index in range(6) for number in (0, 4))


def test_the_text_encoder_learns_to_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairshards.pocket.training.train_text.LOGS", tmp_path)
    tokenizer = new_tokenizer()
    captions = [f"a photo of a {name} on {place}" for name in CLASSES for place in BACKGROUNDS]
    tokens = tokenize(captions, tokenizer)
    logits = train_text(tmp_path, tokenizer, captions, tokens, steps=120, batch=16)(tokens)
    assert torch.stack([each.argmax(1) for each in logits], 1).tolist() == [named(caption) for caption in captions]
