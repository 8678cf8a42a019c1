"""What pipelines do beside what they promise: batch mates, seeds that don't hold, arguments that are left out."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from fairshards.generators.checkpoints.model_files import ModelFilesError
from fairshards.generators.diffusion import trial
from fairshards.generators.diffusion.requests import ImageRequest, ImageResult, Negative
from fairshards.generators.diffusion.text_to_image import TextToImage
from tests.generators.image_requests import requests
from tests.tiny_flows import write_tiny_flux, write_tiny_kandinsky22, write_tiny_qwen_image, write_tiny_sd3


def unguided(count: int = 2, **changes: Any) -> list[ImageRequest]:
    return requests(count, **{"guidance_scale": 1.0, "steps": 3, "height": 64, "width": 64, **changes})


def make(model: TextToImage, asked: list[ImageRequest], size: int = 2) -> list[ImageResult]:
    return list(model.generate(asked, size))


def pixels(result: ImageResult) -> npt.NDArray[np.int16]:
    return np.asarray(Image.open(io.BytesIO(result.png or b"")), np.int16)


@pytest.fixture(autouse=True)
def nothing_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests found is forgotten."""
    monkeypatch.setattr(trial, "_FOUND", {})


ROUNDING = 0.01
"""Grey levels: a row's place in its batch may choose another kernel, and float32 then moves latents by some 1e-6."""


def test_what_stable_diffusion_promises_holds(tiny_folder: Path) -> None:
    found = TextToImage.load(tiny_folder, device="cpu").trial
    assert found.mates < ROUNDING and not found.ignored


def test_a_pipeline_is_tried_once_for_its_kind(tiny_folder: Path, own_folder: Path) -> None:
    model = TextToImage.load(tiny_folder, device="cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TextToImage, "_trial_pictures", None)
        assert TextToImage.load(own_folder, device="cpu").trial is model.trial
        with pytest.raises(ModelFilesError, match="with DDPMScheduler can't make a picture"):
            TextToImage.load(own_folder, device="cpu", scheduler="DDPMScheduler")


def test_a_trial_leaves_the_pipeline_as_it_was(tiny_folder: Path) -> None:
    model = TextToImage.load(tiny_folder, device="cpu")
    assert "step" not in vars(model.pipeline.scheduler) and model.pipeline.scheduler.num_inference_steps is None


def test_rows_that_depend_on_their_batch_are_refused_in_batches(cogview4_folder: Path) -> None:
    model = TextToImage.load(cogview4_folder, device="cpu")
    assert model.trial.mates > 5
    with pytest.raises(ValueError, match=r"CogView4Pipeline: a picture changes by \d+ grey levels .* batch_size to 1"):
        make(model, unguided())
    alone = make(model, unguided(), 1)
    assert alone[1] == make(model, unguided()[1:], 1)[0]


@pytest.mark.parametrize("config", [{"stochastic_sampling": True}, {"scheduler": "FlowMatchLCMScheduler"}])
def test_a_flows_noise_comes_from_each_samples_own_seed(tmp_path: Path, config: dict[str, Any]) -> None:
    """Its pipeline hands no generator to ``step``: pictures of one list were 190 grey levels apart."""
    scheduler = config.pop("scheduler", None)
    model = TextToImage.load(write_tiny_sd3(tmp_path / "sd3", **config), device="cpu", scheduler=scheduler)
    first = make(model, unguided(3))
    assert [one.status for one in first] == ["ok"] * 3
    assert make(model, unguided(3)) == first
    assert make(model, unguided(3)[::-1])[2] == first[0]


def test_noise_that_nobody_seeds_is_refused(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler that ignores the generator it is given."""
    from diffusers import DDIMScheduler

    step = DDIMScheduler.step

    def noisy(self: Any, *args: Any, **kwargs: Any) -> Any:
        made = step(self, *args, **kwargs)
        return (made[0] + torch.randn_like(made[0]), *made[1:])

    monkeypatch.setattr(DDIMScheduler, "step", noisy)
    with pytest.raises(ValueError, match=r"StableDiffusionPipeline with DDIMScheduler draws noise .* name another"):
        TextToImage.load(tiny_folder, device="cpu")


def test_flux_is_refused_what_it_ignores(flux_folder: Path, tmp_path: Path) -> None:
    model = TextToImage.load(flux_folder, device="cpu")
    assert [one.status for one in make(model, unguided())] == ["ok", "ok"]
    with pytest.raises(ValueError, match="FluxPipeline takes a guidance_scale and ignores it"):
        make(model, unguided(guidance_scale=3.5))
    with pytest.raises(ValueError, match="FluxPipeline ignores negative prompts"):
        make(model, unguided(negative_prompt="water"))
    distilled = TextToImage.load(write_tiny_flux(tmp_path / "dev", guidance_embeds=True), device="cpu")
    weak, strong = (make(distilled, unguided(1, guidance_scale=scale), 1)[0] for scale in (1.0, 8.0))
    assert weak.status == strong.status == "ok" and weak.png != strong.png
    with pytest.raises(ValueError, match="FluxPipeline ignores negative prompts"):
        make(distilled, unguided(guidance_scale=3.5, negative_prompt="water"))


def test_an_lcm_has_no_negatives(lcm_folder: Path) -> None:
    model = TextToImage.load(lcm_folder, device="cpu")
    with pytest.raises(ValueError, match="LatentConsistencyModelPipeline ignores negative prompts"):
        make(model, unguided(guidance_scale=2.0, negative_prompt="water"))
    perp_neg = [replace(one, negatives=(Negative("water"),)) for one in unguided(guidance_scale=2.0)]
    with pytest.raises(ValueError, match="distilled from guidance and is never called without the prompt"):
        make(model, perp_neg)


def test_qwen_image_is_guided_as_it_takes_it(tmp_path: Path) -> None:
    """Its ``guidance_scale`` is of a distilled model that isn't there; and without a negative prompt it has none."""
    model = TextToImage.load(write_tiny_qwen_image(tmp_path / "qwen"), device="cpu")
    asked = [unguided(1, guidance_scale=scale, window=0)[0] for scale in (1.0, 3.0, 9.0)]
    asked.append(replace(asked[1], negative_prompt="water"))
    given = []
    call = type(model.pipeline).__call__

    def watched(pipeline: Any, **arguments: Any) -> Any:
        given.append((arguments["true_cfg_scale"], arguments.get("negative_prompt"), "guidance_scale" in arguments))
        return call(pipeline, **arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model.pipeline), "__call__", watched)
        made = [make(model, [one], 1)[0].png for one in asked]
    assert given == [(1.0, None, False), (3.0, [" "], False), (9.0, [" "], False), (3.0, ["water"], False)]
    assert len(set(made)) == 4


def test_kandinsky_takes_a_scheduler_and_no_negative_prompt(tmp_path: Path) -> None:
    """Its prior fails on a list of generators with an IndexError; it samples in pipelines of its own."""
    folder = write_tiny_kandinsky22(tmp_path / "kandinsky")
    model = TextToImage.load(folder, device="cpu")
    with pytest.raises(ValueError, match=r"KandinskyV22CombinedPipeline fails with a negative_prompt \(IndexError"):
        make(model, unguided(guidance_scale=3.0, negative_prompt="water"))
    own = make(model, unguided(1), 1)
    other = TextToImage.load(folder, device="cpu", scheduler="DDIMScheduler")
    assert other.pipeline.decoder_pipe.scheduler is other.pipeline.scheduler
    assert own[0].status == "ok" and make(other, unguided(1), 1)[0].png != own[0].png


def test_a_negative_prompt_needs_guidance(tiny_folder: Path) -> None:
    model = TextToImage.load(tiny_folder, device="cpu")
    with pytest.raises(ValueError, match=r"negative prompt was asked for with guidance_scale 1\.0"):
        make(model, unguided(negative_prompt="water"))


def test_a_size_that_would_be_rounded_is_refused(flux_folder: Path) -> None:
    """FLUX made 64x80 of 72x88 with a warning in a log."""
    model = TextToImage.load(flux_folder, device="cpu")
    with pytest.raises(ValueError, match="multiples of 16, but 72x88 was asked for"):
        make(model, unguided(height=72, width=88))
    assert (make(model, unguided(1, height=64, width=80), 1)[0].width) == 80


def test_a_picture_of_another_size_stops_the_run(tiny_folder: Path) -> None:
    model = TextToImage.load(tiny_folder, device="cpu")
    decode = model.pipeline.vae.decode
    model.pipeline.vae.decode = lambda latents, **kwargs: decode(latents[..., :-4], **kwargs)
    with pytest.raises(RuntimeError, match=r"asked for pictures of 32x32 \(height x width\) and made 32x24"):
        make(model, requests(2))


def test_a_safety_checker_does_not_blind_the_trial(own_folder: Path) -> None:
    from tests.generators.diffusion.test_text_to_image import write_safety_checker

    write_safety_checker(own_folder, -2.0)
    model = TextToImage.load(own_folder, device="cpu")
    assert model.trial.mates < ROUNDING and not model.trial.ignored and model.pipeline.safety_checker is not None
