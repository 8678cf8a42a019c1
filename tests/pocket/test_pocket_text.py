"""The text encoder's head start: what captions name, and that the encoder learns to tell it."""

from pathlib import Path

import pytest
import torch

from pocket.scene import BACKGROUNDS, CLASSES, COLOURS, OBJECTS
from pocket.tokenizer import new_tokenizer
from pocket.train_diffusion import PHRASINGS, all_captions, phrase, tokenize
from pocket.train_text import Namer, named, train_text


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
    monkeypatch.setattr("pocket.train_text.LOGS", tmp_path)
    tokenizer = new_tokenizer()
    captions = [f"a photo of a {name} on {place}" for name in CLASSES for place in BACKGROUNDS]
    tokens = tokenize(captions, tokenizer)
    trained = train_text(tmp_path, tokenizer, captions, tokens, steps=60, batch=16)
    with torch.no_grad():
        hidden = trained(tokens).last_hidden_state.mean(1)
    between = (hidden[0] - hidden[2]).norm()  # landbird against waterbird, on land
    torch.manual_seed(0)
    with torch.no_grad():
        fresh = Namer(tokenizer).text.eval()(tokens).last_hidden_state.mean(1)
    assert between > 2 * (fresh[0] - fresh[2]).norm()
