"""The denoising loss: what is drawn, what a U-Net should predict, and which pipelines can be trained."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from fairshards.generators.checkpoints.loading import load_pipeline
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.personal.denoising import (
    Batch,
    Latents,
    check_trainable,
    denoising_loss,
    draw_batch,
    encode_latents,
    picture_rows,
    training_scheduler,
    wanted,
)
from fairshards.trainers.personal.settings import PersonaliseSettings
from tests.tiny_models import write_tiny_diffusion, write_tiny_pixel_diffusion

CPU = torch.device("cpu")
SETTINGS = PersonaliseSettings(batch_size=6, resolution=32)
PROMPTS = ("a <b>", "the <b>", "one <b>")


def load(folder: Path) -> Any:
    return load_pipeline(folder, "cpu", "float32", None, allow_pickle=False)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tiny")
    return load(write_tiny_diffusion(folder, prediction_type="v_prediction", rescale_betas_zero_snr=True))


@pytest.fixture
def latents() -> Latents:
    mean = torch.arange(2 * 5, dtype=torch.float32).view(2, 5, 1, 1, 1).expand(2, 5, 4, 16, 16)
    return Latents(mean, torch.zeros_like(mean))


def draw(latents: Latents, step: int, settings: PersonaliseSettings = SETTINGS) -> Batch:
    return draw_batch(latents, PROMPTS, settings, step, 1.0, 1000)


def shown(batch: Batch) -> list[int]:
    return [int(row[0, 0, 0]) % 5 for row in batch.latents]


def test_every_pass_shows_every_picture_once() -> None:
    rows = torch.cat([picture_rows(start, 4, 5, 0) for start in range(0, 20, 4)]).view(4, 5)
    assert rows.sort(1).values.tolist() == [[0, 1, 2, 3, 4]] * 4
    assert len({tuple(one) for one in rows.tolist()}) > 1
    assert picture_rows(0, 7, 1, 0).tolist() == [0] * 7


def test_a_steps_draws_depend_on_its_number_and_the_seed(latents: Latents) -> None:
    first, again, other = draw(latents, 3), draw(latents, 3), draw(latents, 4)
    assert torch.equal(first.noise, again.noise) and torch.equal(first.times, again.times)
    assert first.prompts == again.prompts and shown(first) == shown(again)
    assert not torch.equal(first.noise, other.noise)
    seeded = draw(latents, 3, PersonaliseSettings(batch_size=6, seed=1))
    assert not torch.equal(first.noise, seeded.noise)


def test_draws_cover_prompts_mirrors_and_times(latents: Latents) -> None:
    batches = [draw(latents, step) for step in range(1, 60)]
    times = torch.cat([batch.times for batch in batches])
    assert times.min() < 50 and 950 < times.max() < 1000
    assert {prompt for batch in batches for prompt in batch.prompts} == set(PROMPTS)
    mirrored = torch.cat([batch.latents[:, 0, 0, 0] >= 5 for batch in batches]).float().mean()
    assert 0.4 < mirrored < 0.6


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_flip_is_the_chance_of_a_mirror(latents: Latents, flip: float) -> None:
    found = draw(latents, 1, PersonaliseSettings(batch_size=6, flip=flip)).latents[:, 0, 0, 0] >= 5
    assert found.float().mean() == flip


def test_latents_are_sampled_and_scaled() -> None:
    latents = Latents(torch.full((2, 1, 4, 16, 16), 3.0), torch.full((2, 1, 4, 16, 16), 0.5))
    drawn = draw_batch(latents, PROMPTS, SETTINGS, 1, 0.1, 1000).latents
    assert drawn.mean() == pytest.approx(0.3, abs=0.01) and drawn.std() == pytest.approx(0.05, abs=0.005)


def test_posteriors_are_the_vaes_of_the_picture_and_its_mirror(pipeline: Any) -> None:
    images = torch.randint(256, (2, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    found = encode_latents(pipeline.vae, images, CPU)
    assert found.mean.shape == found.std.shape == (2, 2, 4, 16, 16) and found.count == 2
    with torch.no_grad():
        plain = pipeline.vae.encode(images[1:].float() / 127.5 - 1).latent_dist
        mirror = pipeline.vae.encode(images[1:].flip(-1).float() / 127.5 - 1).latent_dist
    assert torch.equal(found.mean[0, 1], plain.mean[0]) and torch.equal(found.std[1, 1], mirror.std[0])


def test_a_resolution_that_the_vae_cannot_halve_is_refused(pipeline: Any) -> None:
    with pytest.raises(TrainerError, match="resolution is 33; the VAE needs a multiple of 2"):
        encode_latents(pipeline.vae, torch.zeros(1, 3, 33, 33, dtype=torch.uint8), CPU)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_a_perfect_prediction_gives_the_clean_latents_back(pipeline: Any, kind: str, latents: Latents) -> None:
    """What is asked of the U-Net is what the sampler takes from it: one exact answer denoises fully."""
    from diffusers import DDIMScheduler

    config = {**pipeline.scheduler.config, "prediction_type": kind, "clip_sample": False}
    config["rescale_betas_zero_snr"] = kind != "epsilon"  # epsilon says nothing where no signal is left
    sampler = DDIMScheduler.from_config(config)
    schedule = training_scheduler(SimpleNamespace(scheduler=sampler))
    assert torch.equal(schedule.alphas_cumprod, sampler.alphas_cumprod)
    sampler.set_timesteps(1000)
    batch = draw(latents, 1)
    noisy = schedule.add_noise(batch.latents, batch.noise, batch.times)
    for row, at in enumerate(batch.times):
        answer = wanted(schedule, batch)[row : row + 1]
        found = sampler.step(answer, at, noisy[row : row + 1]).pred_original_sample
        assert torch.allclose(found[0], batch.latents[row], atol=0.05)


def test_the_loss_is_that_of_a_unet_call_by_hand(pipeline: Any, latents: Latents) -> None:
    batch, schedule = draw(latents, 1), training_scheduler(pipeline)
    with torch.no_grad():
        tokens = pipeline.tokenizer(list(batch.prompts), padding="max_length", return_tensors="pt").input_ids
        text = pipeline.text_encoder(tokens)[0]
        noisy = schedule.add_noise(batch.latents, batch.noise, batch.times)
        answer = pipeline.unet(noisy, batch.times, encoder_hidden_states=text).sample
        target = schedule.get_velocity(batch.latents, batch.noise, batch.times)
        loss = denoising_loss(pipeline, schedule, batch, "float32")
    assert loss.item() == pytest.approx((answer - target).square().mean().item(), rel=1e-5)


def test_what_cannot_be_trained_says_why(pipeline: Any, tmp_path: Path) -> None:
    check_trainable(pipeline)
    with pytest.raises(TrainerError, match="IFPipeline can't be personalised"):
        check_trainable(load(write_tiny_pixel_diffusion(tmp_path / "pixel")))
    strange = load(write_tiny_diffusion(tmp_path / "strange"))
    strange.scheduler.register_to_config(prediction_type="flow_prediction")
    with pytest.raises(TrainerError, match="prediction_type is 'flow_prediction'; expected one of epsilon"):
        check_trainable(strange)
    strange.unet.register_to_config(in_channels=9)
    with pytest.raises(TrainerError, match="takes 9 channels and its VAE makes 4"):
        check_trainable(strange)
