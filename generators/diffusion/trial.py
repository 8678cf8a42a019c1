"""What a loaded pipeline does, found out by a few small pictures: signatures promise more than pipelines keep.

A picture must follow from its own request: the same with other pictures beside it, and the same when it is made again.
Some pipelines draw noise that no sample's generator seeds, some let a prompt's length change the rows beside it, and
some take guidance or a negative prompt and don't use it. Each is seen at once in small pictures of a few steps, so it
is tried once in a process for every kind of pipeline, scheduler and model config.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fairshards.catalogs.manifests.identity import digest
from fairshards.generators.checkpoints.arguments import guidance_argument
from fairshards.generators.checkpoints.loading import quiet
from fairshards.generators.checkpoints.signatures import Signature
from fairshards.generators.checkpoints.weights import ModelFilesError
from fairshards.generators.diffusion.scheduler_state import fresh

SETTINGS = ((2, 64), (4, 64), (4, None))
"""Steps and side in pixels of a trial; the next where a scheduler needs more steps, or a model its own size (None)."""
TOLERANCE = 1.0
"""Grey levels by which one request's pictures may differ: rounding."""
GUIDANCE = 4.0
SHORT, LONG = "a bird", "a b c d e f g h i j k l m n o p q r s t"
"""Prompts of other lengths, since some pipelines pad to the longest of a batch; both fit every text encoder."""

Pictures = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Asked:
    """One picture of a trial."""

    prompt: str = SHORT
    seed: int = 1
    negative: str | None = None
    guidance_scale: float = GUIDANCE


Maker = Callable[[Sequence[Asked], int, int | None], Pictures]
"""Makes a batch of pictures, (n, height, width, 3) in [0, 1], in so many steps, of that side or the model's own."""


@dataclass(frozen=True)
class Trial:
    """What was found.

    Attributes:
        mates: By how many grey levels a picture changes with what is beside it in its batch.
        ignored: Arguments that change nothing, or that the pipeline fails on, with words that say so.
    """

    mates: float
    ignored: tuple[tuple[str, str], ...] = ()

    def check(self, pipeline: str, guidance_scale: float, negative: bool, batch_size: int) -> None:
        """Refuse what the pipeline was seen not to do.

        Raises:
            ValueError: its pictures depend on their batch, or it ignores guidance or a negative prompt.
        """
        if self.mates > TOLERANCE and batch_size > 1:
            raise ValueError(
                f"{pipeline}: a picture changes by {self.mates:.0f} grey levels with the prompts beside "
                "it in its batch, so it couldn't be made again elsewhere; set batch_size to 1"
            )
        asked = {"negative_prompt"} if negative else set()
        asked |= {"guidance_scale", "true_cfg_scale"} if guidance_scale > 1 else set()
        for argument, words in self.ignored:
            if argument in asked:
                raise ValueError(f"{pipeline} {words}")


_FOUND: dict[str, Trial] = {}


def tried(pipeline: Any, takes: Signature, how: str, make: Maker) -> Trial:
    """Return what a pipeline does, tried once a process for its kind; ``how`` is whatever else makes it another kind.

    Raises:
        ValueError: the same request gives another picture every time.
        ModelFilesError: the pipeline can't make a picture.
    """
    key = _kind(pipeline, how)
    if key not in _FOUND:
        with fresh(pipeline), _unchecked(pipeline), quiet():
            _FOUND[key] = _try(type(pipeline).__name__, type(pipeline.scheduler).__name__, takes, make)
    return _FOUND[key]


def quick(takes: Signature) -> dict[str, Any]:
    """Return the arguments that keep a trial short: no rounding to sizes of the training, a short prior."""
    short = {"use_resolution_binning": False, "prior_num_inference_steps": 2}
    return {name: value for name, value in short.items() if name in takes}


def _try(name: str, scheduler: str, takes: Signature, make: Maker) -> Trial:
    one, mate = Asked(), Asked(seed=2)
    first, steps, side = _first(name, scheduler, make, [one, mate])
    mates = gap(first, make([Asked(LONG, 3), one], steps, side)[1])
    if mates > TOLERANCE and gap(first, make([one, mate], steps, side)[0]) > TOLERANCE:
        raise ValueError(
            f"{name} with {scheduler} draws noise from a source that can't be seeded per sample: one "
            "request gave two pictures, so none could be made again; name another scheduler"
        )
    changes = {guidance_argument(takes): {"guidance_scale": 2 * GUIDANCE}, "negative_prompt": {"negative": "water"}}
    ignored = []
    for argument, change in changes.items() if _tells(first) else ():
        changed = [replace(asked, **change) for asked in (one, mate)]  # type: ignore[arg-type]
        words = _ignored(argument, first, make, changed, steps, side) if argument in takes else None
        ignored += [(str(argument), words)] if words else []
    return Trial(mates, tuple(ignored))


def _first(name: str, scheduler: str, make: Maker, asked: Sequence[Asked]) -> tuple[Pictures, int, int | None]:
    """Return the first picture of a trial, and the first of ``SETTINGS`` in which the pipeline can be tried."""
    for steps, side in SETTINGS:
        try:
            return make(asked, steps, side)[0], steps, side
        except _of_machine():
            raise
        except Exception as error:  # whatever a model raises for a size or a number of steps that it can't take
            failed = error
    why = f"{type(failed).__name__}: {failed}"
    raise ModelFilesError(f"{name} with {scheduler} can't make a picture: {why}") from failed


def _ignored(
    argument: str | None, first: Pictures, make: Maker, changed: Sequence[Asked], steps: int, side: int | None
) -> str | None:
    """Return why an argument can't be used; None where it changes the picture."""
    advice = "leave negative prompts out" if argument == "negative_prompt" else "set guidance_scale to 1 or below"
    try:
        made = make(changed, steps, side)[0]
    except _of_machine():
        raise
    except Exception as error:  # an IndexError in Kandinsky 2.2, for example
        return f"fails with a {argument} ({type(error).__name__}: {error}); {advice}"
    same = made.shape == first.shape and np.array_equal(made, first)
    return f"takes a {argument} and ignores it; {advice}" if same else None


def _of_machine() -> tuple[type[Exception], ...]:
    import torch

    return OSError, MemoryError, torch.OutOfMemoryError


def _tells(picture: Pictures) -> bool:
    """Tell whether a picture can show a change: it is finite, and not of one colour."""
    return bool(np.isfinite(picture).all() and picture.min() < picture.max())


def gap(one: Pictures, other: Pictures) -> float:
    """Return by how many grey levels two pictures differ at most; 255 for other sizes, or where one isn't finite."""
    if one.shape != other.shape or (np.isfinite(one) != np.isfinite(other)).any():
        return 255.0
    return float(np.nan_to_num(np.abs(one.astype(np.float64) - other) * 255).max())


@contextmanager
def _unchecked(pipeline: Any) -> Iterator[None]:
    """Take the safety checker away for a while: it would blacken what a trial looks at."""
    checker = getattr(pipeline, "safety_checker", None)
    if checker is None:
        yield
        return
    pipeline.safety_checker = None
    try:
        yield
    finally:
        pipeline.safety_checker = checker


def _kind(pipeline: Any, how: str) -> str:
    """Return what tells one kind of pipeline from another: its class, and the class and config of its parts."""
    parts = {name: [type(part).__name__, _config(part)] for name, part in sorted(pipeline.components.items())}
    return digest([type(pipeline).__name__, how, parts])


def _config(part: Any) -> dict[str, str]:
    config = getattr(part, "config", {})
    said = config.to_dict() if hasattr(config, "to_dict") else config
    return {str(name): repr(value) for name, value in dict(said).items() if not str(name).startswith("_")}
