"""Perp-Neg guidance: the formula, what it leaves alone, and the bytes of plain guidance where there is no negative."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fairshards.generators.diffusion.perp_neg import PerpNeg, perpendicular
from fairshards.generators.diffusion.requests import Negative
from fairshards.generators.diffusion.text_to_image import ImageRequest, ImageResult, TextToImage
from tests.generators.image_requests import requests
from tests.tolerance import float32_error, network_error

WATER = (Negative("water", -1.5),)


def make(model: TextToImage, asked: list[ImageRequest], size: int = 4) -> list[ImageResult]:
    return list(model.generate(asked, size))


def with_negatives(*negatives: tuple[Negative, ...], **changes: object) -> list[ImageRequest]:
    return [
        replace(request, negatives=own)
        for request, own in zip(requests(len(negatives), **changes), negatives, strict=True)
    ]


def test_only_the_part_across_the_prompts_direction_counts() -> None:
    positive = torch.tensor([[2.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    negative = torch.tensor([[5.0, 1.0, 0.0], [4.0, 7.0, -2.0]])
    found = perpendicular(positive, [negative], [torch.tensor([-1.0, -0.5])])
    close = float32_error(6, 21)  # a product of three terms up to 21, a quotient, a product, a difference
    assert torch.allclose(found, torch.tensor([[0.0, -1.0, 0.0], [-2.0, 0.0, 1.0]]), atol=close)
    assert torch.allclose((found * positive).sum(1), torch.zeros(2), atol=3 * close)


def test_negatives_add_up_and_one_along_the_prompt_does_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    positive, first, second = (torch.randn(3, 4, 2, 2, generator=generator) for _ in range(3))
    weights = [torch.tensor([-1.0, -2.0, 0.0]), torch.tensor([-0.5, 0.0, -1.0])]
    both = perpendicular(positive, [first, second], weights)
    apart = perpendicular(positive, [first], weights[:1]) + perpendicular(positive, [second], weights[1:])
    assert torch.allclose(both, apart, atol=1e-6)
    most = 3 * float(weights[0].abs().max() * positive.abs().max())
    assert perpendicular(positive, [3 * positive], weights[:1]).abs().max() < float32_error(2 * 16 + 3, most)


def test_a_prompt_that_says_nothing_divides_by_the_floor() -> None:
    nothing, negative = torch.zeros(1, 4), torch.ones(1, 4)
    assert torch.equal(perpendicular(nothing, [negative], [torch.tensor([-1.0])]), -negative)


def test_without_negatives_the_bytes_are_those_of_plain_guidance(model: TextToImage) -> None:
    """Wherever the rows stand: another row's negatives change nothing in a row that has none."""
    plain = make(model, requests(6))
    asked = with_negatives((), WATER, (), (*WATER, Negative("a boat")), (), ())
    mixed = make(model, asked)
    assert [result.image_sha256 == other.image_sha256 for result, other in zip(mixed, plain, strict=True)] == [
        True,
        False,
        True,
        False,
        True,
        True,
    ]
    assert [mixed[row] for row in (0, 2, 4, 5)] == [plain[row] for row in (0, 2, 4, 5)]


def test_a_rows_negatives_do_not_depend_on_the_batch(model: TextToImage) -> None:
    asked = with_negatives(WATER, (), (Negative("a reed", -1.0), Negative("water", -0.5)), ())
    whole = make(model, asked)
    assert make(model, asked[:1])[0] == whole[0]  # padded by itself
    assert make(model, [*asked[2:], *asked[:2]])[0] == whole[2]
    assert make(model, asked) == whole


def test_weight_order_and_text_reach_the_model(model: TextToImage) -> None:
    variants = [(), WATER, (Negative("water", -0.5),), (Negative("a boat", -1.5),), (*WATER, Negative("a boat", -1.5))]
    shas = {make(model, with_negatives(own), 1)[0].image_sha256 for own in variants}
    assert len(shas) == len(variants)


def test_it_is_the_formula(model: TextToImage) -> None:
    """One U-Net call with the hook against four calls and the formula by hand, for two rows of two negatives."""
    pipeline, generator = model.pipeline, torch.Generator().manual_seed(1)
    negatives = [(Negative("water", -1.0), Negative("a reed", -0.25)), ()]
    latents, step = torch.randn(2, 4, 16, 16, generator=generator), torch.tensor(500)
    with torch.inference_mode():
        texts = {text: pipeline.encode_prompt([text], "cpu", 1, False)[0] for text in ("", "a bird", "water", "a reed")}

        def plain(row: int, text: str) -> torch.Tensor:
            made: torch.Tensor = pipeline.unet(latents[row : row + 1], step, texts[text]).sample[0]
            return made

        hidden = torch.cat([texts[""], texts[""], texts["a bird"], texts["a bird"]])
        with PerpNeg(pipeline, negatives):
            made = pipeline.unet(torch.cat([latents] * 2), step, encoder_hidden_states=hidden, return_dict=False)[0]
            as_object = pipeline.unet(torch.cat([latents] * 2), step, encoder_hidden_states=hidden).sample
        assert torch.equal(made, as_object)
        bare, towards = plain(0, ""), plain(0, "a bird") - plain(0, "")
        expected = bare + towards
        for negative in negatives[0]:
            away = plain(0, negative.prompt) - bare
            expected += negative.weight * (away - (away * towards).sum() / towards.square().sum() * towards)
        close = network_error(layers=30, terms=9 * 32, magnitude=float(made.abs().max()))  # of the tiny U-Net
        assert torch.allclose(made[2], expected, atol=3 * close)  # three calls beside the bare one
        assert torch.allclose(made[3], plain(1, "a bird"), atol=close)
        assert torch.allclose(made[0], bare, atol=close)


def test_the_unet_is_unhooked_whatever_happens(model: TextToImage) -> None:
    before = len(model.pipeline.unet._forward_hooks)
    with pytest.raises(ZeroDivisionError), PerpNeg(model.pipeline, [WATER]):
        raise ZeroDivisionError
    assert len(model.pipeline.unet._forward_hooks) == before


def test_v_prediction_and_bfloat16(tiny_folder: Path) -> None:
    from diffusers import DDIMScheduler

    model = TextToImage.load(tiny_folder, device="cpu", dtype="bfloat16")
    config = model.pipeline.scheduler.config
    model.pipeline.scheduler = DDIMScheduler.from_config(config, prediction_type="v_prediction")
    asked = with_negatives(WATER, ())
    results, plain = make(model, asked, 2), make(model, requests(2), 2)
    assert [result.status for result in results] == ["ok", "ok"]
    assert results[1] == plain[1] and results[0].image_sha256 != plain[0].image_sha256


def test_a_larger_weight_moves_the_picture_further(model: TextToImage) -> None:
    def pixels(own: tuple[Negative, ...]) -> np.ndarray:
        png = make(model, with_negatives(own), 1)[0].png
        return np.asarray(Image.open(io.BytesIO(png or b"")), float)

    plain = pixels(())
    moved = [np.abs(pixels((Negative("water", weight),)) - plain).mean() for weight in (-0.25, -1.0, -4.0)]
    assert moved == sorted(moved) and moved[0] < moved[-1]


def test_negatives_that_could_not_work_are_refused(model: TextToImage, pixel_folder: Path) -> None:
    with pytest.raises(ValueError, match="below 0"):
        Negative("water", 0.5)
    with pytest.raises(ValueError, match="below 0"):
        Negative("water", float("nan"))
    with pytest.raises(ValueError, match="no prompt"):
        Negative(" ")
    with pytest.raises(ValueError, match="above 1"):
        make(model, with_negatives(WATER, guidance_scale=1.0))
    with pytest.raises(ValueError, match="Stable Diffusion family"):
        make(TextToImage.load(pixel_folder, device="cpu"), with_negatives(WATER))
    with (
        pytest.raises(RuntimeError, match="expects 2 of each"),
        torch.inference_mode(),
        PerpNeg(model.pipeline, [WATER]),
    ):
        model.pipeline("a bird", guidance_scale=1.0, num_inference_steps=1, height=32, width=32)
