"""Tiny real checkpoints for the generators' tests, written once a session."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from fairshards.generators.diffusion.text_to_image import TextToImage
from tests.tiny_flows import write_tiny_cogview4, write_tiny_flux, write_tiny_lcm, write_tiny_sd3
from tests.tiny_models import write_tiny_diffusion, write_tiny_pixel_diffusion


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A StableDiffusionPipeline folder; read only."""
    return write_tiny_diffusion(tmp_path_factory.mktemp("tiny") / "diffusion")


@pytest.fixture(scope="session")
def pixel_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An IFPipeline folder, which samples pixels; read only."""
    return write_tiny_pixel_diffusion(tmp_path_factory.mktemp("tiny") / "pixel")


@pytest.fixture
def own_folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny folder that a test may change."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


@pytest.fixture(scope="session")
def model(tiny_folder: Path) -> TextToImage:
    """The tiny model, loaded; tests leave it as they found it."""
    return TextToImage.load(tiny_folder, device="cpu")


@pytest.fixture(scope="session")
def lcm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LatentConsistencyModelPipeline folder; read only."""
    return write_tiny_lcm(tmp_path_factory.mktemp("tiny") / "lcm")


@pytest.fixture(scope="session")
def sd3_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A StableDiffusion3Pipeline folder, of flow matching; read only."""
    return write_tiny_sd3(tmp_path_factory.mktemp("tiny") / "sd3")


@pytest.fixture(scope="session")
def flux_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FluxPipeline folder without a guidance embedding (as FLUX schnell); read only."""
    return write_tiny_flux(tmp_path_factory.mktemp("tiny") / "flux")


@pytest.fixture(scope="session")
def cogview4_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CogView4Pipeline folder; read only."""
    return write_tiny_cogview4(tmp_path_factory.mktemp("tiny") / "cogview4")
