"""A head start for the text encoder: it learns to name what a caption says before the denoiser listens to it.

Trained from scratch together with the denoiser, the class is the last word that the text encoder tells apart
(the background fills more pixels); a minute on captions alone settles it.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import CLIPTextModel, CLIPTokenizer

from fairshards.pocket.networks.models import TEXT_WIDTH, new_text_encoder
from fairshards.pocket.scenes.captions import PLACES, SCENERY
from fairshards.pocket.scenes.scene import BACKGROUNDS, CLASSES, COLOURS, OBJECTS
from fairshards.pocket.training.loop import Schedule, Training
from fairshards.pocket.training.train_vae import LOGS

ATTRIBUTES = (CLASSES, BACKGROUNDS, COLOURS, OBJECTS)
PLACE_WORDS = {name: {phrase.split()[-1] for phrase in (*PLACES[name], *SCENERY[name])} for name in BACKGROUNDS}


def named(caption: str) -> list[int]:
    """What a caption names of class, background, colour and object: an index each, the last + 1 for none.

    "a photo of a red landbird in the woods" gives [0, 0, 2, 4].
    """
    words = set(caption.split())
    words |= {name for name, known in PLACE_WORDS.items() if words & known}
    return [
        next((number for number, value in enumerate(values) if value in words), len(values)) for values in ATTRIBUTES
    ]


class Namer(nn.Module):
    """Text encoder with one linear head per attribute on the mean of its end and padding positions."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.text: CLIPTextModel = new_text_encoder(tokenizer)
        self.end = tokenizer.eos_token_id
        self.heads = nn.ModuleList(nn.Linear(TEXT_WIDTH, len(values) + 1) for values in ATTRIBUTES)

    def forward(self, tokens: Tensor) -> list[Tensor]:
        """Logits (n, values + 1) of each attribute for token ids (n, 24)."""
        last = (tokens == self.end).unsqueeze(-1)
        hidden = (self.text(tokens).last_hidden_state * last).sum(1) / last.sum(1)
        return [head(hidden) for head in self.heads]


def train_text(
    work: Path, tokenizer: CLIPTokenizer, captions: list[str], tokens: Tensor, steps: int = 600, batch: int = 256
) -> Namer:
    """Train (or resume) the namer on different captions and their token ids (n, 24); returns its EMA."""
    truth = torch.tensor([named(caption) for caption in captions])
    training = Training("text", Namer(tokenizer), Schedule(steps, rate=1e-3, ema=0.99), work, LOGS / "text.csv")

    def loss(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(tokens), (batch,), generator=generator)
        logits = training.model(tokens[rows])
        return torch.stack([cross_entropy(each, truth[rows, number]) for number, each in enumerate(logits)]).mean()

    trained = training.run(loss)
    assert isinstance(trained, Namer)
    return trained
