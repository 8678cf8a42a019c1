"""Text to image on tiny real pipelines: same bytes, order, rejects, and errors that must not become rejects."""

from __future__ import annotations

import errno
import io
import json
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from PIL import Image

from fairshards.generators.checkpoints.model_files import ModelFilesError
from fairshards.generators.diffusion.text_to_image import ImageRequest, ImageResult, TextToImage
from tests.generators.image_requests import requests

Hook = Callable[[torch.nn.Module, Any, Any], Any]


@contextmanager
def unet_hook(model: TextToImage, hook: Hook) -> Iterator[None]:
    """Change what the U-Net returns; a row's two halves under guidance are rows i and i + batch."""
    handle = model.pipeline.unet.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def poison(row: int, value: float, batch: int) -> Hook:
    def hook(module: torch.nn.Module, arguments: Any, output: Any) -> Any:
        changed = output[0].clone()
        changed[[row, row + batch]] = value
        return (changed,)

    return hook


def make(model: TextToImage, asked: list[ImageRequest], size: int = 4) -> list[ImageResult]:
    return list(model.generate(asked, size))


def test_results_are_pngs_in_the_order_of_the_requests(model: TextToImage) -> None:
    asked = requests(6)
    results = make(model, asked)
    assert [result.sample_id for result in results] == [request.sample_id for request in asked]
    assert all(result.status == "ok" and result.reason is None for result in results)
    for result in results:
        image = Image.open(io.BytesIO(result.png or b""))
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (32, 32))
        assert (result.width, result.height) == (32, 32)
        assert result.trajectory_variance is not None and result.trajectory_variance > 0
    assert len({result.image_sha256 for result in results}) == 6


def test_the_same_requests_give_the_same_bytes(model: TextToImage, tiny_folder: Path) -> None:
    first = make(model, requests(5))
    assert make(model, requests(5)) == first
    assert make(TextToImage.load(tiny_folder, device="cpu"), requests(5)) == first


def test_a_row_does_not_depend_on_the_other_rows_of_its_batch(model: TextToImage) -> None:
    asked = requests(4)
    others = [replace(request, prompt="something else", noise_seed=9) for request in asked]
    whole = make(model, asked)
    for row in range(4):
        mixed = make(model, [asked[index] if index == row else others[index] for index in range(4)])
        assert mixed[row] == whole[row]


def test_the_last_batch_is_padded_to_the_same_shape(model: TextToImage) -> None:
    shapes = []

    def watch(module: torch.nn.Module, arguments: Any, output: Any) -> None:
        shapes.append(tuple(output[0].shape))

    with unet_hook(model, watch):
        results = make(model, requests(5))
    assert len(results) == 5
    assert set(shapes) == {(8, 4, 16, 16)}
    assert results[:4] == make(model, requests(4))


def test_pixels_are_those_of_diffusers_own_pil_output(model: TextToImage) -> None:
    asked = requests(4)
    generators = [torch.Generator("cpu").manual_seed(request.noise_seed) for request in asked]
    with torch.inference_mode():
        theirs = model.pipeline(
            [request.prompt for request in asked],
            num_inference_steps=4,
            guidance_scale=3.0,
            height=32,
            width=32,
            generator=generators,
        ).images
    for result, image in zip(make(model, asked), theirs, strict=True):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(result.png or b""))), np.asarray(image))


def test_seed_prompt_negative_prompt_and_guidance_reach_the_model(model: TextToImage) -> None:
    request = requests(1)[0]
    variants = [
        request,
        replace(request, noise_seed=7),
        replace(request, prompt="another"),
        replace(request, negative_prompt="water"),
        replace(request, guidance_scale=6.0),
        replace(request, steps=5),
        replace(request, eta=1.0),
    ]
    assert len({make(model, [variant], 1)[0].image_sha256 for variant in variants}) == len(variants)


def test_other_settings_begin_a_new_batch_and_keep_the_order(model: TextToImage) -> None:
    asked = [*requests(3), *requests(3, guidance_scale=5.0), *requests(2)]
    asked = [replace(request, sample_id=str(index)) for index, request in enumerate(asked)]
    results = make(model, asked)
    assert [result.sample_id for result in results] == [str(index) for index in range(8)]
    assert results[3].image_sha256 == make(model, requests(3, guidance_scale=5.0))[0].image_sha256


def test_without_a_window_nothing_is_followed(model: TextToImage) -> None:
    followed, plain = make(model, requests(2)), make(model, requests(2, window=0))
    assert [result.trajectory_variance for result in plain] == [None, None]
    assert [result.png for result in plain] == [result.png for result in followed]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_nan_row_is_a_reject_and_the_others_are_unaffected(model: TextToImage, value: float) -> None:
    clean = make(model, requests(4))
    with unet_hook(model, poison(2, value, 4)):
        results = make(model, requests(4))
    assert (results[2].status, results[2].reason, results[2].png) == ("reject", "nan_image", None)
    assert [results[row] for row in (0, 1, 3)] == [clean[row] for row in (0, 1, 3)]


def test_an_infinity_that_clamping_would_hide_is_found(model: TextToImage) -> None:
    def hook(module: torch.nn.Module, arguments: Any, output: Any) -> Any:
        changed = output.clone()
        changed[1, :, :2] = torch.inf
        return changed

    handle = model.pipeline.vae.decoder.register_forward_hook(hook)
    try:
        results = make(model, requests(4))
    finally:
        handle.remove()
    assert [result.reason for result in results] == [None, "nan_image", None, None]


def test_a_blank_picture_is_a_reject(model: TextToImage) -> None:
    def hook(module: torch.nn.Module, arguments: Any, output: Any) -> Any:
        changed = output.clone()
        changed[0] = 0.25
        return changed

    handle = model.pipeline.vae.decoder.register_forward_hook(hook)
    try:
        results = make(model, requests(2), 2)
    finally:
        handle.remove()
    assert [result.reason for result in results] == ["blank_image", None]
    assert "(159, 159, 159)" in (results[0].detail or "")


def test_a_prompt_that_fails_is_a_reject_and_the_others_are_unaffected(model: TextToImage) -> None:
    clean = make(model, requests(4))
    asked = requests(4)
    asked[1] = replace(asked[1], prompt="a lone surrogate \ud800")
    results = make(model, asked)
    assert (results[1].reason, results[1].png) == ("generation_failed", None)
    assert results[1].detail
    assert [results[row] for row in (0, 2, 3)] == [clean[row] for row in (0, 2, 3)]


def test_a_batch_of_bad_prompts_only_gives_rejects_only(model: TextToImage) -> None:
    asked = [replace(request, prompt="\ud800") for request in requests(3)]
    assert [result.reason for result in make(model, asked)] == ["generation_failed"] * 3


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("CUDA error: device-side assert triggered"),
        OSError(errno.ENOSPC, "No space left on device"),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_of_machine_and_model_are_raised(model: TextToImage, error: Exception) -> None:
    def hook(module: torch.nn.Module, arguments: Any, output: Any) -> Any:
        raise error

    with unet_hook(model, hook), pytest.raises(type(error)):
        make(model, requests(2))
    assert make(model, requests(1))[0].status == "ok"
    assert "step" not in vars(model.pipeline.scheduler)


def test_an_error_that_neutral_prompts_cause_as_well_is_the_models(model: TextToImage) -> None:
    with pytest.raises(ValueError, match="divisible by 8"):
        make(model, requests(2, height=30))


def test_an_eta_that_would_be_ignored_is_refused(tiny_folder: Path) -> None:
    model = TextToImage.load(tiny_folder, device="cpu", scheduler="EulerDiscreteScheduler")
    with pytest.raises(ValueError, match=r"eta 0.5 was asked for"):
        make(model, requests(1, eta=0.5))


def test_an_eta_that_rounding_turns_into_nan_is_refused(model: TextToImage, tiny_folder: Path) -> None:
    own = TextToImage.load(tiny_folder, device="cpu")
    own.pipeline.scheduler = DDIMScheduler.from_config(
        own.pipeline.scheduler.config,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    )
    with pytest.raises(ValueError, match=r"set eta to 0\.99"):
        make(own, requests(1, eta=1.0))
    for steps in (3, 6, 20):
        assert make(own, requests(1, eta=0.99, steps=steps))[0].status == "ok"
    assert make(model, requests(1, eta=1.0))[0].status == "ok"


def test_the_safety_checkers_black_pictures_are_rejects(model: TextToImage, tiny_folder: Path) -> None:
    """The checker's contract: it returns the pictures, the flagged ones black, and a flag for each."""
    own = TextToImage.load(tiny_folder, device="cpu")

    def check(images: torch.Tensor, device: Any, dtype: Any) -> tuple[torch.Tensor, list[bool]]:
        images = images.clone()
        images[1] = 0
        return images, [row == 1 for row in range(len(images))]

    own.pipeline.run_safety_checker = check
    results = make(own, requests(4))
    assert [result.reason for result in results] == [None, "safety_checker", None, None]
    assert results[0] == make(model, requests(4))[0]


def write_safety_checker(folder: Path, threshold: float) -> None:
    """Add a real safety checker that flags every picture whose cosines exceed ``threshold``."""
    from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPVisionConfig

    size = {"image_size": 32, "patch_size": 16, "hidden_size": 16, "intermediate_size": 16}
    vision = CLIPVisionConfig(**size, num_hidden_layers=1, num_attention_heads=2)
    checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision.to_dict(), projection_dim=8))
    checker.concept_embeds_weights.data.fill_(threshold)
    checker.special_care_embeds_weights.data.fill_(threshold)
    checker.save_pretrained(folder / "safety_checker")
    extractor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    extractor.save_pretrained(folder / "feature_extractor")
    index = json.loads((folder / "model_index.json").read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
    (folder / "model_index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(("threshold", "reason"), [(-2.0, "safety_checker"), (2.0, None)])
def test_a_real_safety_checker_is_kept(own_folder: Path, threshold: float, reason: str | None) -> None:
    write_safety_checker(own_folder, threshold)
    model = TextToImage.load(own_folder, device="cpu")
    assert model.pipeline.safety_checker is not None
    assert [result.reason for result in make(model, requests(2), 2)] == [reason, reason]


def test_a_pixel_pipeline_with_learned_variance(pixel_folder: Path) -> None:
    model = TextToImage.load(pixel_folder, device="cpu")
    asked = requests(3)
    results = make(model, asked, 2)
    assert all(result.status == "ok" and result.trajectory_variance for result in results)
    assert results == make(model, asked, 2)
    generators = [torch.Generator("cpu").manual_seed(request.noise_seed) for request in asked[:2]]
    theirs = model.pipeline(
        [request.prompt for request in asked[:2]], num_inference_steps=4, guidance_scale=3.0, generator=generators
    ).images
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(results[1].png or b""))), np.asarray(theirs[1]))


SCHEDULERS = [
    "DDIMScheduler",
    "DDPMScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LCMScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "SASolverScheduler",
    "TCDScheduler",
    "UniPCMultistepScheduler",
]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_scheduler_is_reproducible_and_followed(tiny_folder: Path, scheduler: str) -> None:
    model = TextToImage.load(tiny_folder, device="cpu", scheduler=scheduler)
    results = make(model, requests(2), 2)
    assert all(result.status == "ok" and result.trajectory_variance for result in results)
    assert make(model, requests(1), 2) == results[:1]


def test_unknown_and_unseeded_schedulers_are_refused(tiny_folder: Path) -> None:
    with pytest.raises(ValueError, match="did you mean DDIMScheduler"):
        TextToImage.load(tiny_folder, device="cpu", scheduler="DDIMSchedular")
    with pytest.raises(ValueError, match="can't be seeded per sample"):
        TextToImage.load(tiny_folder, device="cpu", scheduler="DPMSolverSDEScheduler")


def test_bfloat16_runs_under_autocast_on_a_cpu(tiny_folder: Path) -> None:
    model = TextToImage.load(tiny_folder, device="cpu", dtype="bfloat16")
    assert model.pipeline.unet.dtype == torch.float32
    results = make(model, requests(2), 2)
    assert all(result.status == "ok" and result.trajectory_variance for result in results)
    assert results != make(TextToImage.load(tiny_folder, device="cpu"), requests(2), 2)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_named(tiny_folder: Path) -> None:
    with pytest.raises(ValueError, match="no CUDA device"):
        TextToImage.load(tiny_folder, device="cuda")


def test_damaged_weights_and_other_pipelines_are_model_errors(own_folder: Path) -> None:
    index = own_folder / "model_index.json"
    saved = index.read_text()
    index.write_text(json.dumps({**json.loads(saved), "_class_name": "DDPMPipeline"}))
    with pytest.raises(ModelFilesError, match="AutoPipelineForText2Image"):
        TextToImage.load(own_folder, device="cpu")
    index.write_text(saved)
    weights = own_folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ModelFilesError, match="can't be loaded"):
        TextToImage.load(own_folder, device="cpu")


def test_the_model_can_be_weakly_referenced(model: TextToImage) -> None:
    """Beam shares models by weak reference."""
    assert weakref.ref(model)() is model


def test_pngs_are_encoded_while_the_next_batch_is_made(model: TextToImage, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    run, result = TextToImage._run, Future.result

    def watched_run(self: TextToImage, *arguments: Any) -> Any:
        events.append("model")
        return run(self, *arguments)

    def watched_result(self: Future[Any], *arguments: Any) -> Any:
        events.append("wait")
        return result(self, *arguments)

    monkeypatch.setattr(TextToImage, "_run", watched_run)
    monkeypatch.setattr(Future, "result", watched_result)
    make(model, requests(6), 2)
    assert events == ["model", "model", "wait", "wait", "model", "wait", "wait", "wait", "wait"]
