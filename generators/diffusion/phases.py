"""Sampling in two phases: all samples of a task up to a step, then those that are worth finishing, in full batches.

Most samples that filters reject can be told before they are finished, by the picture that the model predicts half-way.
Phase one runs every batch up to a step and keeps each row's latents, the state of its noise generator and what the
scheduler remembers of it. The predicted x0 is decoded and shown to a judge. Phase two packs the rows that the judge
spares, in the order of the requests, into full padded batches for the remaining steps. What comes out of it is what
``TextToImage.generate`` gives of the same requests; it follows from the list of requests alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fairshards.generators.checkpoints.isolation import run_rows
from fairshards.generators.checkpoints.loading import is_stable_diffusion
from fairshards.generators.diffusion import scheduler_state
from fairshards.generators.diffusion.encoding import encoded_behind
from fairshards.generators.diffusion.pixels import RawPicture, raw_pictures, rejected, to_uint8
from fairshards.generators.diffusion.predicted_x0 import predicted_x0
from fairshards.generators.diffusion.requests import Batch, ImageRequest, ImageResult, batches
from fairshards.generators.diffusion.text_to_image import TextToImage, finished

if TYPE_CHECKING:
    import torch

Preview = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Verdict:
    """What a judge says of a preview: why the sample isn't worth finishing (None: it is), and whatever it measured."""

    prune: str | None
    scores: Any = None


Judge = Callable[[Sequence[ImageRequest], Sequence[Preview]], Sequence[Verdict]]
"""Judges previews, (height, width, 3) uint8, of these requests."""


@dataclass(frozen=True)
class Paused:
    """A sample between the phases: latents (c, h, w), its noise generator's state, and its row of a scheduler's."""

    request: ImageRequest
    latents: torch.Tensor
    generator: torch.Tensor
    scheduler: Mapping[str, Any]
    row: int

    @property
    def sample_id(self) -> str:
        """The sample's id."""
        return self.request.sample_id

    @property
    def settings(self) -> tuple[object, ...]:
        """What every row of a batch must share."""
        return self.request.settings


def generate_pruned(
    model: TextToImage,
    requests: Sequence[ImageRequest],
    batch_size: int,
    step: int,
    judge: Judge,
    pays_from: float = 0.0,
) -> Iterator[tuple[ImageResult, Verdict | None]]:
    """Yield each request's result and verdict, in order; a pruned one is a reject with the reason ``pruned``.

    ``step`` counts the model calls of phase one. A sample that fails before it is judged has no verdict. Judging costs
    something: where less than the share ``pays_from`` of the first batch is pruned, the others are made without it.

    Raises:
        ValueError: as ``TextToImage.generate``; ``step`` isn't inside the sampling run, or the window of the
            trajectory variance begins before it; the pipeline has no latents to decode, or the scheduler's state
            can't be told apart by row.
    """
    check_phases(model, requests, step)
    model.check(requests, batch_size)
    found: dict[str, tuple[ImageResult, Verdict | None]] = {}
    spared: list[Paused] = []
    for number, batch in enumerate(batches(requests, batch_size)):
        if number == 1 and _share_pruned(found) < pays_from:
            unjudged = [one for one in requests if one.sample_id not in found]
            found.update({one.sample_id: (one, None) for one in model.generate(unjudged, batch_size)})
            break
        made, verdicts = _first_phase(model, batch, step, judge)
        for request, one, verdict in zip(batch.requests, made, verdicts, strict=True):
            if isinstance(one, Exception):
                found[request.sample_id] = finished(request, one), None
            elif verdict is not None and verdict.prune is not None:
                found[request.sample_id] = rejected(request.sample_id, "pruned", verdict.prune), verdict
            else:
                spared.append(one)
                found[request.sample_id] = rejected(request.sample_id, "pruned", ""), verdict  # until it is finished
    rest = ((batch.requests, _second_phase(model, batch, step)) for batch in batches(spared, batch_size))
    for result in encoded_behind(rest, lambda paused, one: finished(paused.request, one)):
        found[result.sample_id] = result, found[result.sample_id][1]
    yield from (found[request.sample_id] for request in requests)


def _share_pruned(found: Mapping[str, tuple[ImageResult, Verdict | None]]) -> float:
    """Return the share of samples that were pruned."""
    return sum(verdict is not None and verdict.prune is not None for _, verdict in found.values()) / len(found)


def check_phases(model: TextToImage, requests: Sequence[ImageRequest], step: int) -> None:
    """Refuse what can't be sampled in two phases; see ``generate_pruned``."""
    if not is_stable_diffusion(model.pipeline):
        raise ValueError(
            f"{type(model.pipeline).__name__} can't be pruned in flight: no preview of it can be decoded; "
            "use a pipeline of the Stable Diffusion family, or leave generator.prune out"
        )
    for request in requests:
        if not 1 <= step < request.steps:
            raise ValueError(f"prune.step is {step}; it must lie inside the {request.steps} steps of sampling")
        if request.window > request.steps - step:
            raise ValueError(
                f"the trajectory variance is followed over the last {request.window} of {request.steps} "
                f"steps, but pruning takes place at step {step}: prune at "
                f"{request.steps - request.window} or before"
            )


def _first_phase(
    model: TextToImage, batch: Batch[ImageRequest], step: int, judge: Judge
) -> tuple[list[Paused | Exception], list[Verdict | None]]:
    """Return each request of a batch half-way, and what the judge says of it."""
    pairs = run_rows(lambda shown: _to_step(model, batch, shown, step), len(batch.requests))
    made: list[Paused | Exception] = [one if isinstance(one, Exception) else one[0] for one in pairs]
    shown = [(row, one[1]) for row, one in enumerate(pairs) if not isinstance(one, Exception) and one[1] is not None]
    verdicts: list[Verdict | None] = [None] * len(made)
    judged = judge([batch.requests[row] for row, _ in shown], [preview for _, preview in shown]) if shown else []
    for (row, _), verdict in zip(shown, judged, strict=True):
        verdicts[row] = verdict
    return made, verdicts


def _to_step(
    model: TextToImage, batch: Batch[ImageRequest], shown: frozenset[int], step: int
) -> list[tuple[Paused, Preview | None]]:
    """Run a batch up to a step; return each request's row and its preview, None for one that isn't finite."""
    with ExitStack() as stack:
        scheduler = stack.enter_context(scheduler_state.fresh(model.pipeline))
        model.enter(stack, batch, shown)
        arguments = model.arguments(batch, shown)
        stopped = _StopAfter(scheduler, step)
        try:
            model.pipeline(**arguments)
        except _Stopped:
            latents, x0 = stopped.latents, stopped.x0
        state = scheduler_state.state_since(scheduler, stopped.before, len(latents))
        previews = _decoded(model.pipeline, x0)
        noise = arguments["generator"]
        return [
            (Paused(request, latents[row].clone(), noise[row].get_state(), state, row), previews[row])
            for row, request in enumerate(batch.requests)
        ]


def _second_phase(model: TextToImage, batch: Batch[Paused], step: int) -> list[RawPicture | Exception]:
    """Run the remaining steps of a batch of spared rows."""
    return run_rows(lambda shown: _from_step(model, batch, shown, step), len(batch.requests))


def _from_step(model: TextToImage, batch: Batch[Paused], shown: frozenset[int], step: int) -> list[RawPicture]:
    import torch

    rows = [batch.requests[row] for row in batch.rows()]
    asked = Batch(tuple(one.request for one in batch.requests), batch.size)
    with ExitStack() as stack:
        scheduler = stack.enter_context(scheduler_state.fresh(model.pipeline))
        finite, follower = model.watch(stack, asked.requests[0].window, step)
        model.enter(stack, asked, shown)
        latents = torch.stack([one.latents for one in rows])
        state = scheduler_state.rows_of([(one.scheduler, one.row) for one in rows])
        _resume(scheduler, state, step)
        stack.enter_context(_given_latents(model.pipeline, latents))
        arguments = model.arguments(asked, shown)
        for generator, one in zip(arguments["generator"], rows, strict=True):
            generator.set_state(one.generator)
        return raw_pictures(model.pipeline(**arguments), len(batch.requests), finite.rows, follower)


class _Stopped(Exception):
    """Raised inside a pipeline's loop when phase one is over."""


class _StopAfter:
    """Makes a scheduler end a sampling run after some calls of its ``step``.

    Attributes:
        before: What the scheduler remembered when the run began.
        latents, x0: The noisy latents after the last call, and the x0 that it predicted; (rows, c, h, w).
    """

    def __init__(self, scheduler: Any, calls: int) -> None:
        self.scheduler, self.left = scheduler, calls
        self.before = scheduler_state.remembered(scheduler)
        self.latents: Any = None
        self.x0: Any = None
        self._step, self._set = scheduler.step, scheduler.set_timesteps
        scheduler.step, scheduler.set_timesteps = _like(self._step, self._stepped), _like(self._set, self._begun)

    def _begun(self, *args: Any, **kwargs: Any) -> None:
        self._set(*args, **kwargs)
        self.before = scheduler_state.remembered(self.scheduler)

    def _stepped(self, model_output: Any, timestep: Any, sample: Any, *args: Any, **kwargs: Any) -> Any:
        result = self._step(model_output, timestep, sample, *args, **{**kwargs, "return_dict": True})
        self.left -= 1
        if self.left:
            return result.to_tuple()  # an LCM's has the denoised picture too
        self.latents = result.prev_sample
        self.x0 = predicted_x0(self.scheduler, result, model_output, timestep, sample)
        raise _Stopped


def _resume(scheduler: Any, state: Mapping[str, Any], step: int) -> None:
    """Make a scheduler begin at a step, with what it remembered there."""
    set_timesteps, scale, step_on = scheduler.set_timesteps, scheduler.scale_model_input, scheduler.step

    def begun(*args: Any, **kwargs: Any) -> None:
        """Let the pipeline see the remaining timesteps only."""
        set_timesteps(*args, **kwargs)
        scheduler.whole = scheduler.timesteps
        scheduler.timesteps = scheduler.whole[step:]
        for name, value in state.items():
            setattr(scheduler, name, value)

    def whole_again(call: Callable[..., Any]) -> Callable[..., Any]:
        """Give the scheduler all timesteps back first: solvers know the last steps by how many there are."""

        def called(*args: Any, **kwargs: Any) -> Any:
            scheduler.timesteps = scheduler.whole
            return call(*args, **kwargs)

        return _like(call, called)

    scheduler.set_timesteps = _like(set_timesteps, begun)
    scheduler.scale_model_input, scheduler.step = whole_again(scale), whole_again(step_on)  # an LCM scales nothing


@contextmanager
def _given_latents(pipeline: Any, latents: Any) -> Iterator[None]:
    """Let a pipeline begin with these latents as they are."""
    pipeline.prepare_latents = lambda *_, **__: latents
    try:
        yield
    finally:
        del pipeline.prepare_latents


@contextmanager
def glimpses(model: TextToImage, steps: Sequence[int]) -> Iterator[dict[int, list[Preview | None]]]:
    """Note, while the model generates one batch, what it looked like at these steps, padding included.

    For calibration: nothing is stopped. The previews are there when the ``with`` ends.
    """
    scheduler, seen = model.pipeline.scheduler, [0]
    step, found, predicted = scheduler.step, dict[int, list[Preview | None]](), dict[int, Any]()

    def stepped(model_output: Any, timestep: Any, sample: Any, *args: Any, **kwargs: Any) -> Any:
        result = step(model_output, timestep, sample, *args, **{**kwargs, "return_dict": True})
        seen[0] += 1
        if seen[0] in steps:
            predicted[seen[0]] = predicted_x0(scheduler, result, model_output, timestep, sample)
        return result.to_tuple()

    scheduler.step = _like(step, stepped)
    try:
        yield found
    finally:
        del scheduler.step
    found.update({number: previews_of(model, x0) for number, x0 in predicted.items()})


def previews_of(model: TextToImage, x0: Any) -> list[Preview | None]:
    """Return the pictures that predicted latents (n, c, h, w) stand for; None for rows that aren't finite."""
    import torch

    with torch.inference_mode():
        return _decoded(model.pipeline, x0)


def _like(original: Callable[..., Any], hook: Callable[..., Any]) -> Callable[..., Any]:
    """Return a hook with the original's signature: pipelines look which arguments a scheduler takes."""
    return functools.wraps(original)(lambda *args, **kwargs: hook(*args, **kwargs))


def _decoded(pipeline: Any, x0: Any) -> list[Preview | None]:
    """Return the pictures that latents (n, c, h, w) stand for; None for rows that aren't finite."""
    if x0 is None:
        name = type(pipeline.scheduler).__name__
        raise ValueError(f"{name} doesn't tell its predicted x0, so nothing can be judged half-way; name another one")
    vae = pipeline.vae
    whole = (x0 / vae.config.scaling_factor).to(vae.dtype)
    finite = whole.isfinite().flatten(1).all(dim=1).tolist()
    images = vae.decode(whole.nan_to_num(), return_dict=False)[0]
    pixels = pipeline.image_processor.postprocess(images, output_type="np", do_denormalize=[True] * len(images))
    return [to_uint8(pixels[row]) if good else None for row, good in enumerate(finite)]
