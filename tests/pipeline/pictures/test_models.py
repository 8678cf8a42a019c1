"""What a model's folder says is checked against the recipe before the source is read; fingerprints that must stay."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fairshards.generators.checkpoints.model_files import ModelFilesError, fingerprint, library_versions
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.pictures.models import check_generator, generator_spec, scorer_spec
from fairshards.pipeline.recipe.base import RecipeError
from tests.pipeline.small import small_recipe, write_recipe
from tests.tiny_flows import write_tiny_flux, write_tiny_lcm, write_tiny_sd3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the small recipe, its models and some of other kinds; read only."""
    found = tmp_path_factory.mktemp("models")
    write_recipe(found)
    for name, write in (("flux", write_tiny_flux), ("lcm", write_tiny_lcm), ("sd3", write_tiny_sd3)):
        write(found / name)
    return found


@pytest.mark.parametrize("name", ["pocket-waterbirds", "pocket-aspire"])
def test_the_pocket_recipes_pass(name: str) -> None:
    assert check_generator(load_recipe(name)) == []


@pytest.mark.parametrize(
    ("model", "overrides", "message"),
    [
        ("flux", ["prompts.negative=water"], "FluxPipeline ignores negative prompts"),
        ("lcm", ["prompts.by_class={landbird: {negative: water}}"], "ConsistencyModelPipeline ignores negative"),
        ("lcm", ["prompts.by_class={landbird: {negatives: [[water, -1]]}}"], "can't have Perp-Neg guidance"),
        (
            "models/diffusion",
            ["prompts.by_class={landbird: {negatives: [[water, -1]]}}", "generator.guidance_scale=1"],
            "Perp-Neg changes guidance, which 1 and below",
        ),
        (
            "models/diffusion",
            ["prompts.negative=water", "generator.guidance_scale=1"],
            "with guidance_scale 1.0, and 1",
        ),
        ("flux", ["generator.height=72", "generator.width=88"], "multiples of 16, but .* are 72 and 88"),
        ("flux", ["generator.eta=0.5"], "FluxPipeline takes no eta"),
        ("sd3", ["generator.scheduler=DDIMScheduler"], "reads the velocity that this model predicts"),
        ("models/diffusion", ["generator.scheduler=EDMEulerScheduler"], "can't sample this model"),
        ("models/diffusion", ["generator.scheduler=DDIM"], "is not one of diffusers'; did you mean DDIM"),
    ],
)
def test_what_a_pipeline_would_leave_out_is_refused(
    folder: Path, model: str, overrides: list[str], message: str
) -> None:
    recipe = small_recipe(folder, f"generator.model={folder / model}", *overrides)
    with pytest.raises(RecipeError, match=message):
        check_generator(recipe)


def test_what_they_do_passes(folder: Path) -> None:
    for model, *overrides in (
        ("models/diffusion", "prompts.negative=water", "generator.eta=0.5"),
        ("sd3", "prompts.negative=water", "generator.scheduler=UniPCMultistepScheduler"),
        ("flux", "generator.height=64"),
        ("lcm",),
    ):
        assert check_generator(small_recipe(folder, f"generator.model={folder / model}", *overrides)) == []


def test_a_pipeline_of_another_kind_and_a_variant(folder: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(folder / "models" / "diffusion", tmp_path / "model"))
    recipe = small_recipe(folder, f"generator.model={own}")
    for file in own.rglob("*.safetensors"):
        file.rename(file.with_suffix(".fp16.safetensors"))
    assert check_generator(recipe) == [f"{own} has weights of the variant fp16 alone; these are loaded"]
    index = own / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "_class_name": "DDPMPipeline"}))
    with pytest.raises(ModelFilesError, match="holds a DDPMPipeline, which diffusers' AutoPipeline"):
        check_generator(recipe)


def test_a_fingerprint_changes_only_where_pictures_do(folder: Path) -> None:
    def made_by(model: str, scheduler: str) -> bool:
        overrides = f"generator.model={folder / model}", f"generator.scheduler={scheduler}"
        spec = generator_spec(small_recipe(folder, *overrides))
        said = {"scheduler": scheduler, "dtype": "float32", **library_versions()}
        return spec.fingerprint == fingerprint(folder / model, said)

    assert made_by("models/diffusion", "EulerDiscreteScheduler")
    assert not made_by("sd3", "UniPCMultistepScheduler")


def test_a_judge_of_the_usual_scale_keeps_its_fingerprint(folder: Path, tmp_path: Path) -> None:
    def usual(clip: Path) -> bool:
        said = library_versions(("torch", "open_clip_torch", "pillow"))
        return scorer_spec(small_recipe(folder, f"scorer.model={clip}")).fingerprint == fingerprint(clip, said)

    clip = Path(shutil.copytree(folder / "models" / "clip", tmp_path / "clip"))
    assert not usual(clip)  # 1 / 0.07
    weights = clip / "open_clip_model.safetensors"
    save_file({**load_file(weights), "logit_scale": torch.tensor(4.60517)}, weights)
    assert usual(clip)
    save_file({**load_file(weights), "logit_bias": torch.tensor(-10.0)}, weights)
    assert not usual(clip)


def test_pickled_weights_of_the_judge_can_be_allowed(folder: Path, tmp_path: Path) -> None:
    clip = Path(shutil.copytree(folder / "models" / "clip", tmp_path / "clip"))
    weights = clip / "open_clip_model.safetensors"
    torch.save(load_file(weights), clip / "open_clip_pytorch_model.bin")
    weights.unlink()
    with pytest.raises(ModelFilesError, match="set allow_pickle if you trust their author"):
        scorer_spec(small_recipe(folder, f"scorer.model={clip}"))
    assert scorer_spec(small_recipe(folder, f"scorer.model={clip}", "scorer.allow_pickle=true")).allow_pickle
