"""What a diffusers folder says before it is loaded, compared with what diffusers makes of it."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path

import diffusers
import pytest
from diffusers.pipelines import auto_pipeline

from fairshards.generators.checkpoints.loading import takes_of
from fairshards.generators.checkpoints.pipeline_folder import read_pipeline_folder, size_step
from fairshards.generators.checkpoints.signatures import (
    INPAINTING,
    TEXT_TO_IMAGE,
    pipeline_class,
    pipeline_takes,
    scheduler_takes,
)
from fairshards.generators.checkpoints.weights import ModelFilesError
from fairshards.generators.diffusion.text_to_image import TextToImage


def test_every_text_to_image_class_is_read_as_diffusers_has_it() -> None:
    for kind in auto_pipeline.AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values():
        assert pipeline_class(kind.__name__, TEXT_TO_IMAGE) == kind.__name__
        found = inspect.signature(kind.__call__).parameters
        assert set(pipeline_takes(kind.__name__)) == set(found) - {"self", "kwargs"}, kind
        plain = {name: one.default for name, one in found.items() if name in ("guidance_scale", "true_cfg_scale")}
        assert {name: pipeline_takes(kind.__name__)[name] for name in plain} == plain


def test_every_scheduler_is_read_as_diffusers_has_it() -> None:
    names = [name for name in dir(diffusers) if name.startswith(("DPMSolverM", "UniPC", "FlowMatch", "Euler"))]
    assert len(names) > 5
    for name in names:
        found = inspect.signature(getattr(diffusers, name).__init__).parameters
        assert set(scheduler_takes(name)) == set(found) - {"self", "kwargs"}, name


def test_the_class_is_the_one_that_the_loader_makes() -> None:
    assert pipeline_class("StableDiffusionInpaintPipeline", TEXT_TO_IMAGE) == "StableDiffusionPipeline"
    assert pipeline_class("StableDiffusionPipeline", INPAINTING) == "StableDiffusionInpaintPipeline"
    assert pipeline_class("DDPMPipeline", TEXT_TO_IMAGE) is None
    assert pipeline_takes("NoSuchPipeline") == {}


@pytest.mark.parametrize("name", ["tiny", "sd3", "flux", "lcm", "cogview4"])
def test_a_folder_says_what_its_pipeline_is(request: pytest.FixtureRequest, name: str) -> None:
    folder = request.getfixturevalue(f"{name}_folder")
    said, model = read_pipeline_folder(folder), TextToImage.load(folder, device="cpu")
    assert said.name == type(model.pipeline).__name__
    assert said.scheduler == type(model.pipeline.scheduler).__name__
    assert set(said.takes) >= set(takes_of(model.pipeline)) - {"kwargs"}
    steps = {"tiny": 2, "sd3": 2, "flux": 16, "lcm": 2, "cogview4": 4}
    assert said.step == steps[name] == size_step(model._configs)
    assert said.takes_perp_neg == (name == "tiny")


def test_a_folder_that_is_no_pipeline(own_folder: Path) -> None:
    index = own_folder / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "_class_name": "DDPMPipeline"}))
    with pytest.raises(ModelFilesError, match="holds a DDPMPipeline, which diffusers' AutoPipelineForText2Image"):
        read_pipeline_folder(own_folder)
    with pytest.raises(ModelFilesError, match=r"has no model_index\.json, so it is no diffusers pipeline"):
        read_pipeline_folder(own_folder / "unet")


def test_reading_imports_neither_torch_nor_diffusers(tiny_folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from fairshards.generators.checkpoints.pipeline_folder import read_pipeline_folder\n"
        f"read_pipeline_folder(Path({str(tiny_folder)!r})).options('EulerDiscreteScheduler')\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'diffusers', 'transformers')))"
    )
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
