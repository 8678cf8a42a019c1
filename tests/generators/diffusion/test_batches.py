"""Padded batches, the search for bad rows, and the conversion of pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from diffusers.image_processor import VaeImageProcessor

from fairshards.generators.checkpoints.isolation import run_rows
from fairshards.generators.diffusion.pixels import RawPicture, finish, to_uint8
from fairshards.generators.diffusion.requests import Batch, batches
from tests.generators.image_requests import requests


def test_batches_keep_the_order_and_the_size() -> None:
    made = list(batches(requests(7), 3))
    assert [len(batch.requests) for batch in made] == [3, 3, 1]
    assert [batch.size for batch in made] == [3, 3, 3]
    assert made[2].rows() == [0, 0, 0]
    assert [request for batch in made for request in batch.requests] == requests(7)
    assert list(batches([], 3)) == []


def test_a_batch_that_mixes_settings_is_an_error() -> None:
    with pytest.raises(ValueError, match="mixes settings"):
        Batch((*requests(1), *requests(1, guidance_scale=9.0)), 4)
    with pytest.raises(ValueError, match="2 rows got 3 requests"):
        Batch(tuple(requests(3)), 2)
    with pytest.raises(ValueError, match="at least 1"):
        list(batches(requests(1), 0))


@pytest.mark.parametrize("change", ["guidance_scale", "steps", "height", "width", "eta", "window"])
def test_every_setting_begins_a_new_batch(change: str) -> None:
    assert len(list(batches([*requests(2), *requests(2, **{change: 64})], 4))) == 2


def test_none_and_empty_negative_prompts_are_the_same_and_others_are_not() -> None:
    asked = [*requests(1, negative_prompt=None), *requests(1), *requests(1, negative_prompt="water")]
    assert [len(batch.requests) for batch in batches(asked, 4)] == [2, 1]


class Model:
    """Fails when a bad row is shown, and counts its runs."""

    def __init__(self, bad: set[int], always: bool = False) -> None:
        self.bad, self.always, self.runs = bad, always, 0

    def __call__(self, shown: frozenset[int]) -> Sequence[str]:
        self.runs += 1
        if self.always or self.bad & shown:
            raise ValueError(f"bad rows {sorted(self.bad & shown)}")
        return [f"row {row}" if row in shown else "masked" for row in range(16)]


@pytest.mark.parametrize("bad", [set(), {0}, {15}, {3, 4}, {0, 5, 6, 15}, set(range(15))])
def test_bad_rows_are_found_and_the_others_have_their_results(bad: set[int]) -> None:
    results = run_rows(Model(bad), 16)
    for row, result in enumerate(results):
        assert isinstance(result, ValueError) if row in bad else result == f"row {row}"


def test_one_bad_row_costs_at_most_two_runs_a_halving() -> None:
    model = Model({7})
    run_rows(model, 16)
    assert model.runs <= 1 + 2 * 4


def test_all_rows_bad_but_not_the_model() -> None:
    assert all(isinstance(result, ValueError) for result in run_rows(Model(set(range(16))), 16))


def test_a_model_that_always_fails_raises_its_first_error() -> None:
    with pytest.raises(ValueError, match=r"bad rows \[\]"):
        run_rows(Model(set(), always=True), 4)


def test_pixels_are_rounded_as_diffusers_rounds_them() -> None:
    steps = np.linspace(0, 1, 256 * 3 * 4, dtype=np.float32).reshape(1, 32, 32, 3)
    halves = ((np.arange(255, dtype=np.float32) + 0.5) / 255)[: 8 * 8 * 3].reshape(1, 8, 8, 3)
    for pixels in (steps, halves):
        theirs = np.asarray(VaeImageProcessor.numpy_to_pil(pixels)[0])
        assert np.array_equal(to_uint8(pixels[0]), theirs)


def test_a_nan_pixel_that_nobody_flagged_is_found() -> None:
    pixels = np.random.default_rng(0).random((4, 4, 3), np.float32)
    assert finish("a", RawPicture(pixels, True, False, 0.5)).status == "ok"
    pixels[1, 2, 0] = np.nan
    assert finish("a", RawPicture(pixels, True, False, 0.5)).reason == "nan_image"
