"""What a text-to-image model is asked for, what it answers, and the padded batches in between.

The batches serve every model that answers a list of requests: text to image, editing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Generic, Literal, Protocol, TypeVar

Reason = Literal["nan_image", "blank_image", "safety_checker", "generation_failed", "pruned"]


class Request(Protocol):
    """What can stand in a batch: a sample's id, and the settings that every row of a batch must share."""

    @property
    def sample_id(self) -> str:
        """The sample's id."""

    @property
    def settings(self) -> tuple[object, ...]:
        """What every row of a batch must share."""


R = TypeVar("R", bound=Request)


@dataclass(frozen=True)
class Negative:
    """What not to draw, with its weight in Perp-Neg (``generators/diffusion/perp_neg.py``): below 0, -1 is usual.

    Raises:
        ValueError: a weight that isn't a finite number below 0, or no prompt.
    """

    prompt: str
    weight: float = -1.0

    def __post_init__(self) -> None:
        if not (-float("inf") < self.weight < 0):
            raise ValueError(
                f"negative {self.prompt!r} has weight {self.weight}; Perp-Neg subtracts what it names, so "
                "give a finite number below 0, for example -1.0"
            )
        if not self.prompt.strip():
            raise ValueError("a negative has no prompt; name what not to draw, or leave the negative out")


@dataclass(frozen=True)
class ImageRequest:
    """One picture to make.

    Attributes:
        sample_id: The sample's id.
        noise_seed: Seed of the sample's own noise generator, in [0, 2**63).
        prompt: What to draw.
        negative_prompt: What not to draw; None and "" are the same.
        guidance_scale: Classifier-free guidance; 1 and below switches it off.
        steps: Sampling steps, at least 1.
        height, width: Pixels.
        eta: DDIM's share of fresh noise, in [0, 1].
        window: Follow the predicted x0 over the last ``window`` model calls (docs/methods.md#trajectory-variance);
            0: don't.
        negatives: Weighted negatives (docs/methods.md#perp-neg), as many as one likes; rows of a batch may
            have different ones. Beside them ``negative_prompt`` is the unconditional branch, as always.
    """

    sample_id: str
    noise_seed: int
    prompt: str
    negative_prompt: str | None
    guidance_scale: float
    steps: int
    height: int
    width: int
    eta: float = 0.0
    window: int = 0
    negatives: tuple[Negative, ...] = ()

    @property
    def settings(self) -> tuple[object, ...]:
        """What every row of a batch must share.

        Whether there is a negative prompt belongs to it: some pipelines (SDXL) treat none and an empty one
        differently, so a batch must not mix them.
        """
        return (
            self.guidance_scale,
            self.steps,
            self.height,
            self.width,
            self.eta,
            self.window,
            bool(self.negative_prompt),
        )


@dataclass(frozen=True)
class ImageResult:
    """One picture that was made, or the reason why there is none.

    ``png`` holds the encoded picture and is None for a reject, as are ``width``, ``height`` and
    ``image_sha256`` (64 hex digits over ``png``). ``trajectory_variance`` is >= 0, or None where it wasn't
    asked for or can't be followed; ``detail`` says why it can't. ``status`` is "ok" or "reject"; a reject has a
    short ``reason`` and a sentence in ``detail``.
    """

    sample_id: str
    png: bytes | None
    width: int | None
    height: int | None
    image_sha256: str | None
    trajectory_variance: float | None
    status: Literal["ok", "reject"]
    reason: Reason | None = None
    detail: str | None = None


@dataclass(frozen=True)
class Batch(Generic[R]):
    """Requests with equal settings that the model sees at once, in ``size`` rows.

    Rows past the last request repeat it, so that the model always sees the same shape.

    Raises:
        ValueError: no request, more than ``size`` of them, or requests whose settings differ.
    """

    requests: tuple[R, ...]
    size: int

    def __post_init__(self) -> None:
        if not 1 <= len(self.requests) <= self.size:
            raise ValueError(f"a batch of {self.size} rows got {len(self.requests)} requests")
        different = [request for request in self.requests if request.settings != self.requests[0].settings]
        if different:
            raise ValueError(
                "a batch mixes settings (of pictures: guidance, steps, height, width, eta, window, has a negative "
                f"prompt): {self.requests[0].sample_id} has {self.requests[0].settings}, "
                f"{different[0].sample_id} has {different[0].settings}"
            )

    def rows(self) -> list[int]:
        """Return, for each of the ``size`` rows, the number of the request that it shows."""
        return [min(row, len(self.requests) - 1) for row in range(self.size)]


def batches(requests: Sequence[R], size: int) -> Iterator[Batch[R]]:
    """Yield the requests in their order, in batches of ``size`` rows; a change of settings begins a new one.

    Raises:
        ValueError: ``size`` is below 1.
    """
    if size < 1:
        raise ValueError(f"batch_size is {size}; it must be at least 1")
    for _, group in groupby(requests, key=lambda request: request.settings):
        run = tuple(group)
        for start in range(0, len(run), size):
            yield Batch(run[start : start + size], size)
