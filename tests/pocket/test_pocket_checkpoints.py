"""The committed checkpoints load through their own libraries, are small, and do what they are for."""

import json
import warnings
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from diffusers import AutoPipelineForImage2Image, AutoPipelineForInpainting, AutoPipelineForText2Image
from PIL import Image
from safetensors.torch import load_file

from fairshards.pocket import CHECKPOINTS, checkpoint_path
from fairshards.pocket.networks.clip_model import golden_embedding
from fairshards.pocket.networks.oracle import load_oracle
from fairshards.pocket.scenes.render import GROUPS, scenes
from fairshards.pocket.scenes.scene import BACKGROUNDS, CLASSES

LOGS = Path(__file__).parents[2] / "pocket" / "logs"

DIFFUSION, CLIP = checkpoint_path("pocket-diffusion"), checkpoint_path("pocket-clip")


def stack(count: int, domain: str = "tests") -> tuple[torch.Tensor, torch.Tensor]:
    made = list(scenes(domain, 0, count))
    images = torch.from_numpy(np.stack([sample.image for sample in made])).permute(0, 3, 1, 2)
    return images, torch.tensor([(sample.scene.label, sample.scene.place) for sample in made])


@pytest.fixture(scope="module")
def pipeline() -> AutoPipelineForText2Image:
    loaded = AutoPipelineForText2Image.from_pretrained(DIFFUSION, dtype=torch.float32)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def test_unknown_checkpoint_is_named() -> None:
    with pytest.raises(KeyError, match="pocket-diffusion"):
        checkpoint_path("pocket-dall-e")


def test_folders_are_small_and_float16_safetensors() -> None:
    files = [path for name in CHECKPOINTS for path in checkpoint_path(name).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 40_000_000
    assert (checkpoint_path("oracle") / "oracle.safetensors").stat().st_size < 2**20
    assert not [path for path in files if path.suffix in {".bin", ".pt", ".pkl", ".ckpt"}]
    for path in files:
        if path.suffix == ".safetensors":
            kinds = {value.dtype for value in load_file(path).values()}
            assert kinds <= {torch.float16, torch.int64}, path


def test_no_machine_paths_in_configs() -> None:
    for name in CHECKPOINTS:
        for path in checkpoint_path(name).rglob("*.json"):
            assert str(Path.home()) not in path.read_text(), path


def test_pipeline_draws_64_pixels_without_being_told(pipeline: AutoPipelineForText2Image) -> None:
    noise = [torch.Generator().manual_seed(seed) for seed in range(2)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        images = pipeline(["a photo of a waterbird on water"] * 2, num_inference_steps=2, generator=noise).images
    assert [image.size for image in images] == [(64, 64)] * 2
    assert pipeline.safety_checker is None and pipeline.vae_scale_factor == 4


@pytest.mark.parametrize("kind", [AutoPipelineForImage2Image, AutoPipelineForInpainting])
def test_editing_pipelines_load(kind: type) -> None:
    assert kind.from_pretrained(DIFFUSION).unet.config.sample_size == 16


@pytest.mark.skipif(not (LOGS / "goals.json").exists(), reason="pocket-diffusion has not met its goal yet")
def test_generated_pictures_show_the_prompt(pipeline: AutoPipelineForText2Image) -> None:
    prompts = [f"a photo of a {name} on {place}" for name, place in GROUPS for _ in range(3)]
    noise = [torch.Generator().manual_seed(seed) for seed in range(len(prompts))]
    made = pipeline(prompts, num_inference_steps=12, guidance_scale=3.0, generator=noise, output_type="pt").images
    classes, places = load_oracle().judge((made * 255).round().to(torch.uint8))
    wanted = torch.tensor([(CLASSES.index(n), BACKGROUNDS.index(p)) for n, p in GROUPS for _ in range(3)])
    assert (classes == wanted[:, 0]).sum() >= 10
    assert (places == wanted[:, 1]).sum() >= 11


def test_oracle_is_right_on_unseen_pictures() -> None:
    images, labels = stack(40)
    classes, places = load_oracle().judge(images)
    assert (classes == labels[:, 0]).float().mean() >= 0.97 and (places == labels[:, 1]).float().mean() >= 0.97


def test_clip_zero_shot_on_eight_pictures() -> None:
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{CLIP}")
    tokenizer, (images, labels) = open_clip.get_tokenizer(f"local-dir:{CLIP}"), stack(8)
    pixels = torch.stack([preprocess(Image.fromarray(image.permute(1, 2, 0).numpy())) for image in images])
    with torch.inference_mode():
        pictures = model.eval().encode_image(pixels, normalize=True)
        texts = model.encode_text(tokenizer([f"a photo of a {name}" for name in CLASSES]), normalize=True)
        places = model.encode_text(tokenizer([f"a bird on {name}" for name in BACKGROUNDS]), normalize=True)
    assert ((pictures @ texts.T).argmax(1) == labels[:, 0]).sum() >= 7
    assert ((pictures @ places.T).argmax(1) == labels[:, 1]).sum() >= 7


def test_clip_tokenizer_is_the_small_one() -> None:
    tokens = open_clip.get_tokenizer(f"local-dir:{CLIP}")(["a waterbird"])
    assert tokens.shape == (1, 24) and tokens.max() < 1000


def test_golden_embedding_guards_preprocessing() -> None:
    golden = json.loads((CLIP / "golden.json").read_text())
    assert torch.allclose(golden_embedding(CLIP), torch.tensor(golden["embedding"]), atol=1e-4)
