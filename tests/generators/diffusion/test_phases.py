"""Sampling in two phases gives what sampling in one gives, with fewer steps for what isn't worth finishing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fairshards.generators.diffusion.phases import Judge, Preview, Verdict, generate_pruned
from fairshards.generators.diffusion.requests import ImageRequest, ImageResult, Negative
from fairshards.generators.diffusion.text_to_image import TextToImage
from tests.generators.image_requests import requests
from tests.tiny_models import write_tiny_pixel_diffusion

STATELESS = ["DDIMScheduler", "DDPMScheduler", "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler"]
WITH_HISTORY = [
    "PNDMScheduler",
    "DPMSolverMultistepScheduler",
    "UniPCMultistepScheduler",
    "DEISMultistepScheduler",
    "LMSDiscreteScheduler",
]


def asked(count: int = 10, **changes: object) -> list[ImageRequest]:
    """Return requests of six steps whose variance is followed over the last two."""
    return [replace(one, steps=6, window=2, **changes) for one in requests(count)]  # type: ignore[arg-type]


def sparing(spared: Sequence[int], ids: Sequence[str]) -> Judge:
    """Return a judge that prunes all but some requests."""
    keep = {ids[number] for number in spared}
    return lambda shown, _: [Verdict(None if one.sample_id in keep else "not wanted", one.sample_id) for one in shown]


def pruned(model: TextToImage, wanted: list[ImageRequest], spared: Sequence[int], step: int = 3) -> list[ImageResult]:
    """Return the results of two phases."""
    judge = sparing(spared, [one.sample_id for one in wanted])
    return [result for result, _ in generate_pruned(model, wanted, 4, step, judge)]


@pytest.mark.parametrize("scheduler", STATELESS + WITH_HISTORY)
@pytest.mark.parametrize("step", [1, 4])
def test_spared_samples_have_the_bytes_of_an_unbroken_run(tiny_folder: Path, scheduler: str, step: int) -> None:
    model = TextToImage.load(tiny_folder, device="cpu", scheduler=scheduler)
    wanted = asked(eta=0.7) if scheduler == "DDIMScheduler" else asked()
    whole = list(model.generate(wanted, 4))
    spared = [0, 3, 4, 6, 7, 9]
    found = pruned(model, wanted, spared, step)
    assert [one.sample_id for one in found] == [one.sample_id for one in wanted]
    assert [found[number] for number in spared] == [whole[number] for number in spared]
    assert {found[number].reason for number in range(10) if number not in spared} == {"pruned"}
    assert list(model.generate(wanted, 4)) == whole  # no hook stays behind


@pytest.mark.parametrize("step", [1, 2, 4])
def test_an_lcm_is_pruned_at_any_step(lcm_folder: Path, step: int) -> None:
    """Its pipeline unpacks two values of every step, and never scales the model's input."""
    model = TextToImage.load(lcm_folder, device="cpu")
    wanted = asked(6, guidance_scale=2.0)
    whole = list(model.generate(wanted, 4))
    found = pruned(model, wanted, [0, 4, 5], step)
    assert [found[number] for number in (0, 4, 5)] == [whole[number] for number in (0, 4, 5)]
    assert all(one.status == "ok" for one in whole)


@pytest.mark.parametrize(("pays_from", "judged"), [(0.0, 10), (0.25, 10), (0.26, 4)])
def test_where_the_first_batch_loses_little_the_others_are_not_judged(
    model: TextToImage, pays_from: float, judged: int
) -> None:
    wanted = asked()
    whole, ids = list(model.generate(wanted, 4)), [one.sample_id for one in wanted]
    judge = sparing([0, 1, 2, 5, 6, 8, 9], ids)  # of the first four the last is pruned
    found = list(generate_pruned(model, wanted, 4, 3, judge, pays_from))
    assert [result.sample_id for result, _ in found] == ids
    assert [verdict is not None for _, verdict in found] == [True] * judged + [False] * (10 - judged)
    gone = [number for number, (result, _) in enumerate(found) if result.reason == "pruned"]
    assert gone == ([3, 4, 7] if judged == 10 else [3])
    assert all(found[number][0] == whole[number] for number in range(10) if number not in gone)


def test_perp_neg_and_negative_prompts_stay_with_their_rows(model: TextToImage) -> None:
    wanted = asked(6, negative_prompt="blurry")
    wanted = [
        replace(one, negatives=(Negative("water", -0.5),)) if number % 2 else one for number, one in enumerate(wanted)
    ]
    whole = list(model.generate(wanted, 4))
    assert [one for one in pruned(model, wanted, [1, 2, 5]) if one.status == "ok"] == [whole[1], whole[2], whole[5]]


def test_the_judge_sees_every_picture_once_and_no_padding(model: TextToImage) -> None:
    seen: list[tuple[str, Preview]] = []

    def judge(shown: Sequence[ImageRequest], previews: Sequence[Preview]) -> list[Verdict]:
        seen.extend(zip((one.sample_id for one in shown), previews, strict=True))
        return [Verdict(None, "fine") for _ in shown]

    wanted = asked(6)
    found = list(generate_pruned(model, wanted, 4, 4, judge))
    assert [name for name, _ in seen] == [one.sample_id for one in wanted]
    assert all(preview.shape == (32, 32, 3) and preview.dtype == np.uint8 for _, preview in seen)
    assert all(result.status == "ok" and verdict == Verdict(None, "fine") for result, verdict in found)


def test_previews_come_nearer_to_the_picture_with_every_step(model: TextToImage) -> None:
    wanted = asked(4)
    final = [np.asarray(decode(one)) for one in model.generate(wanted, 4)]
    distances = []
    for step in (1, 3, 4):
        previews: list[Preview] = []
        keep_all = recording(previews)
        list(generate_pruned(model, wanted, 4, step, keep_all))
        distances.append(np.mean([abs(a.astype(int) - b).mean() for a, b in zip(previews, final, strict=True)]))
    assert distances[0] > distances[1] > distances[2]


def recording(previews: list[Preview]) -> Judge:
    """Return a judge that keeps all and notes what it sees."""

    def judge(shown: Sequence[ImageRequest], seen: Sequence[Preview]) -> list[Verdict]:
        previews.extend(seen)
        return [Verdict(None) for _ in shown]

    return judge


def decode(result: ImageResult) -> object:
    from fairshards.generators.images import decode_image

    assert result.png is not None
    return decode_image(result.png)


def test_only_what_is_spared_costs_the_remaining_steps(model: TextToImage) -> None:
    """10 requests in batches of 4: three batches of 3 steps, then 5 samples in two batches of 3 steps."""
    calls: list[int] = []
    handle = model.pipeline.unet.register_forward_hook(lambda _, given, __: calls.append(len(given[0])))
    try:
        pruned(model, asked(), [0, 2, 4, 6, 8])
    finally:
        handle.remove()
    assert calls == [8] * (3 * 3 + 2 * 3)  # 4 rows, doubled by guidance


def test_a_row_that_is_not_finite_is_not_judged_and_a_bad_prompt_is_a_reject(
    model: TextToImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, names = asked(4), []

    def poison(_: object, __: object, output: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        made = output[0].clone()
        made[[1, 5]] = float("nan")
        return (made,)

    def judge(shown: Sequence[ImageRequest], _: Sequence[Preview]) -> list[Verdict]:
        names.extend(one.sample_id for one in shown)
        return [Verdict(None) for _ in shown]

    handle = model.pipeline.unet.register_forward_hook(poison)
    try:
        found = list(generate_pruned(model, wanted, 4, 3, judge))
    finally:
        handle.remove()
    assert names == [wanted[number].sample_id for number in (0, 2, 3)]
    assert [result.reason for result, _ in found] == [None, "nan_image", None, None]
    assert found[1][1] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: replace(one, steps=3), "prune.step is 3; it must lie inside the 3 steps"),
        (lambda one: replace(one, window=4), "prune at 2 or before"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    model: TextToImage, change: Callable[[ImageRequest], ImageRequest], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        pruned(model, [change(one) for one in asked(2)], [])


def test_a_pipeline_without_latents_is_refused(tmp_path: Path) -> None:
    model = TextToImage.load(write_tiny_pixel_diffusion(tmp_path / "pixels"), device="cpu")
    with pytest.raises(ValueError, match="can't be pruned in flight"):
        pruned(model, asked(2), [])


def test_a_scheduler_whose_state_is_of_the_whole_batch_is_refused_by_name(
    model: TextToImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As DPM-Solver SDE does, which keeps a noise process of the batch (and needs torchsde)."""
    scheduler = model.pipeline.scheduler
    plain = type(scheduler).step

    def step(self: Any, model_output: Any, timestep: Any, sample: Any, **kwargs: Any) -> Any:
        self.noise_sampler = object()
        return plain(self, model_output, timestep, sample, **kwargs)

    kind = type("Noisy", (type(scheduler),), {"step": step})
    monkeypatch.setattr(model.pipeline, "scheduler", kind.from_config(scheduler.config))
    with pytest.raises(ValueError, match=r"Noisy can.t be used .* it keeps noise_sampler \(object\)"):
        pruned(model, asked(2), [])
