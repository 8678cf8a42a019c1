"""How text models decode: greedy unless told, and, when they sample, with one noise generator a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Decoding:
    """Settings of a text model's decoding.

    Attributes:
        max_new_tokens: Where an answer is cut off, at least 1.
        temperature: 0 is greedy; above it the model samples.
        top_p: Sample from the likeliest tokens whose probabilities sum to this, in (0, 1].

    Raises:
        ValueError: a value out of its range.
    """

    max_new_tokens: int = 100
    temperature: float = 0.0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is {self.max_new_tokens}; it must be at least 1")
        if self.temperature < 0:
            raise ValueError(f"temperature is {self.temperature}; it must be 0 (greedy) or above")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; it must be in (0, 1]")


def decoding_arguments(decoding: Decoding, seeds: Sequence[int], constraint: Any = None) -> dict[str, Any]:
    """Return the arguments of transformers' ``generate``; ``seeds`` has one seed a row of the batch.

    ``constraint`` is a logits processor that comes before the sampling, so that a draw is from what may stand next.

    A ``max_length`` that a checkpoint's own generation settings have is unset, or every call would warn of both.
    ``generate`` itself always decodes greedily and without beams: to sample, ``SeededNoise`` is added to the scores.
    """
    arguments: dict[str, Any] = {
        "max_new_tokens": decoding.max_new_tokens,
        "max_length": None,
        "do_sample": False,
        "num_beams": 1,
    }
    steps = [] if constraint is None else [constraint]
    if decoding.temperature > 0:
        steps += _sampling(decoding, seeds)
    if steps:
        from transformers import LogitsProcessorList

        arguments["logits_processor"] = LogitsProcessorList(steps)
    return arguments


def _sampling(decoding: Decoding, seeds: Sequence[int]) -> list[Any]:
    from transformers import TemperatureLogitsWarper, TopPLogitsWarper

    steps: list[Any] = [TemperatureLogitsWarper(decoding.temperature)]
    if decoding.top_p < 1:
        steps.append(TopPLogitsWarper(decoding.top_p))
    return [*steps, SeededNoise(seeds)]


class SeededNoise:
    """Turns greedy decoding into sampling: the largest of log-probabilities with Gumbel noise is a fair draw.

    Each row has its own CPU generator, so that what it draws doesn't depend on the rows beside it, as it would with
    the one global generator of ``do_sample=True``.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        import torch

        self._generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores (rows, vocabulary) with noise; -inf stays -inf."""
        import torch

        uniform = torch.stack([torch.rand(scores.shape[-1], generator=each) for each in self._generators])
        noise = -torch.log(-torch.log(uniform.clamp(1e-10, 1 - 1e-7)))
        return scores.float() + noise.to(scores.device)
