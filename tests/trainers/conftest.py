"""Fixtures: a biased real set of coloured shapes and the curated set that goes with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from fairshards.trainers.core.index import Sample
from tests.tiny_models import write_tiny_diffusion
from tests.trainers.concepts import few_pictures
from tests.trainers.shapes import BIASED, EVEN, shape_pictures, write_index


@pytest.fixture(scope="session")
def real_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A biased real set: 128 train pictures at r = 0.94, val and test of 20 a group."""
    return write_index(
        tmp_path_factory.mktemp("real"), shape_pictures({"train": BIASED, "val": EVEN, "test": EVEN}), 50
    )


@pytest.fixture(scope="session")
def synthetic_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A curated set for it: m = 28 a group balanced, and 28 more of each minority group for USB."""
    pictures = shape_pictures({"balanced": dict.fromkeys(BIASED, 28), "extra": {(0, 1): 28, (1, 0): 28}}, g=1)
    return write_index(tmp_path_factory.mktemp("curated"), pictures, 50)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A StableDiffusionPipeline folder, v-prediction with zero terminal SNR as pocket-diffusion's; read only."""
    folder = tmp_path_factory.mktemp("tiny") / "diffusion"
    return write_tiny_diffusion(folder, prediction_type="v_prediction", rescale_betas_zero_snr=True)


@pytest.fixture(scope="session")
def crosses(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sample, ...]:
    """Three pictures of crosses on red, to personalise with."""
    return few_pictures(tmp_path_factory.mktemp("crosses"))


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """One thread for all trainings: the count is part of what decides a training's bytes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
