"""Training of the extractor on captions that are written as it goes: none is drawn from a list that could run out."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedTokenizerFast, T5ForConditionalGeneration

from fairshards.pocket.networks.export import swap_in
from fairshards.pocket.networks.extractor import extract, new_extractor, new_extractor_tokenizer, save_extractor
from fairshards.pocket.scenes.phrases import (
    Phrases,
    heldout_caption,
    instructed_caption,
    learnt_caption,
    pocket_caption,
)
from fairshards.pocket.scenes.scene import stream
from fairshards.pocket.scenes.wordings import LEARNT
from fairshards.pocket.training.loop import Schedule, Training, append_row, step_generator
from fairshards.pocket.training.train_vae import LOGS

IGNORED = -100
Caption = Callable[[int], tuple[str, Phrases]]
Encoded = tuple[Tensor, Tensor, Tensor]


def draw(count: int, generator: torch.Generator) -> list[tuple[str, Phrases]]:
    """``count`` training captions of one step."""
    key = int(torch.randint(2**62, (), generator=generator))
    rng = np.random.Generator(np.random.Philox(key=key))
    return [learnt_caption(rng) for _ in range(count)]


def encode(drawn: list[tuple[str, Phrases]], tokenizer: PreTrainedTokenizerFast) -> Encoded:
    """Token ids and attention mask of captions, int64 (n, longest), and labels of their answers, padding ignored."""
    inputs = tokenizer([text for text, _ in drawn], padding=True, return_tensors="pt")
    answers = tokenizer([phrases.to_json() for _, phrases in drawn], padding=True, return_tensors="pt")
    labels = answers.input_ids.masked_fill(answers.attention_mask == 0, IGNORED)
    return inputs.input_ids, inputs.attention_mask, labels


class StepBatches(Dataset[Encoded]):
    """The encoded batch of every step from ``first`` on: its captions come from the step's number alone."""

    def __init__(self, first: int, steps: int, batch: int, tokenizer: PreTrainedTokenizerFast) -> None:
        self.first, self.steps, self.batch, self.tokenizer = first, steps, batch, tokenizer

    def __len__(self) -> int:
        return self.steps - self.first

    def __getitem__(self, index: int) -> Encoded:
        return encode(draw(self.batch, step_generator("extractor", self.first + index)), self.tokenizer)


def pocket_heldout(index: int) -> tuple[str, Phrases]:
    """A caption of the pocket world that training never drew by number; its wordings are known ones."""
    return pocket_caption("extractor-heldout", index, stream("extractor-heldout", 0, index, "pocket"))


def right(answer: str, wanted: Phrases) -> bool:
    """Whether an answer has exactly the foreground and background phrases."""
    try:
        found = json.loads(answer)
        return (found["foreground"], found["background"]) == ([*wanted.foreground], wanted.background)
    except (ValueError, TypeError, KeyError):
        return False


def right_alternative(answer: str, wanted: Phrases) -> bool:
    """Whether an answer that is right otherwise offers another place; of the other kind, where training knew it."""
    offered = json.loads(answer).get("alternative")
    last = wanted.background.split()[-1:]
    known = not last or {*last} <= {*LEARNT.waters, *LEARNT.lands, *LEARNT.bare_lands}
    return offered == wanted.alternative if known else offered in ("land", "water")


def extractor_accuracy(folder: Path, caption: Caption, count: int, device: str = "cpu") -> tuple[float, float]:
    """Shares of ``count`` captions with exact phrases, and with exact phrases and another place beside them."""
    drawn = [caption(index) for index in range(count)]
    answers = extract(folder, [text for text, _ in drawn], device=device)
    pairs = [(answer, wanted) for answer, (_, wanted) in zip(answers, drawn, strict=True)]
    exact = [pair for pair in pairs if right(*pair)]
    return len(exact) / count, sum(right_alternative(*pair) for pair in exact) / count


def check_extractor(step: int, folder: Path, count: int, device: str = "cpu") -> None:
    """Log the shares of exact answers on held-out wordings, with instructions inside, and of the pocket world."""
    sets = {"heldout": heldout_caption, "instructed": instructed_caption, "pocket": pocket_heldout}
    shares = {name: extractor_accuracy(folder, caption, count, device)[0] for name, caption in sets.items()}
    append_row(LOGS / "extractor-quality.csv", {"step": step, "count": count, **shares})
    print(f"extractor {step}: {shares}", flush=True)


def train_extractor(
    work: Path, steps: int = 5000, batch: int = 64, heldout: int = 500, device: str = "cpu", workers: int = 0
) -> None:
    """Train (or resume) the extractor; exports ``pocket-extractor`` and logs its accuracy at every check.

    ``workers`` processes write the captions; how many changes nothing of what is learnt.
    """
    torch.manual_seed(0)
    tokenizer = new_extractor_tokenizer()
    schedule = Schedule(steps, rate=1.5e-3, warmup=300, ema=0.995, check_every=1000)
    training = Training("extractor", new_extractor(tokenizer).to(device), schedule, work, LOGS / "extractor.csv")
    drawn = StepBatches(training.step, steps, batch, tokenizer)
    batches = iter(DataLoader(drawn, batch_size=None, num_workers=workers))

    def loss(generator: torch.Generator) -> Tensor:
        ids, mask, labels = (part.to(device) for part in next(batches))
        value: Tensor = training.model(input_ids=ids, attention_mask=mask, labels=labels).loss
        return value

    def check(model: nn.Module, step: int) -> None:
        assert isinstance(model, T5ForConditionalGeneration)
        folder = swap_in("pocket-extractor", lambda fresh: save_extractor(model, fresh))
        check_extractor(step, folder, heldout, device)

    training.run(loss, check)
