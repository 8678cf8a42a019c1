"""What a pipeline was taught is loaded, reaches the pictures, and a new word that wasn't loaded is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from fairshards.generators.checkpoints.loading import load_pipeline
from fairshards.generators.checkpoints.model_files import ModelFilesError
from fairshards.generators.diffusion.personal import EMBEDDINGS, LORA
from fairshards.generators.diffusion.requests import Negative
from fairshards.generators.diffusion.text_to_image import ImageRequest, TextToImage
from fairshards.trainers.personal.dreambooth_lora import new_lora
from fairshards.trainers.personal.settings import DREAMBOOTH_LORA, Concept, PersonaliseSettings
from tests.generators.image_requests import requests


def taught(folder: Path, token: str = "<bird>", width: int = 32, seed: int = 0) -> Path:
    """Write the learned embedding of a token, with random values as large as a table's own."""
    folder.mkdir(parents=True, exist_ok=True)
    row = torch.randn(1, width, generator=torch.Generator().manual_seed(seed))
    save_file({token: row}, folder / EMBEDDINGS)
    return folder


def taught_lora(folder: Path, model: Path) -> Path:
    """Write a LoRA for the model that changes what it draws."""
    pipeline = load_pipeline(model, "cpu", "float32", None, allow_pickle=False)
    learner = new_lora(pipeline, Concept("bird", "odd bird", "bird"), PersonaliseSettings(DREAMBOOTH_LORA))
    with torch.no_grad():
        for one in learner.trained:
            one.add_(0.2)
    folder.mkdir(parents=True)
    learner.write(folder, {})
    return folder


def load(model: Path, *personal: Path) -> TextToImage:
    return TextToImage.load(model, device="cpu", personal=personal)


def said(prompt: str, **changes: Any) -> list[ImageRequest]:
    return [replace(requests(1)[0], prompt=prompt, **changes)]


def drawn(model: TextToImage, prompt: str, **changes: Any) -> str:
    (result,) = model.generate(said(prompt, **changes), 1)
    assert result.image_sha256, result.detail
    return result.image_sha256


def test_several_tokens_reach_the_picture(tiny_folder: Path, tmp_path: Path) -> None:
    bird = taught(tmp_path / "a")
    both = load(tiny_folder, bird, taught(tmp_path / "b", "<dog>", seed=1))
    pictures = [drawn(both, f"a photo of {word}") for word in ("<bird>", "<dog>", "a bird")]
    assert len(set(pictures)) == 3
    assert drawn(load(tiny_folder, bird), "a photo of <bird>") == pictures[0]
    other = load(tiny_folder, taught(tmp_path / "c", seed=2))
    assert drawn(other, "a photo of <bird>") != pictures[0]


def test_a_plain_prompt_draws_as_before(tiny_folder: Path, tmp_path: Path, model: TextToImage) -> None:
    assert drawn(load(tiny_folder, taught(tmp_path)), "a bird") == drawn(model, "a bird")


def test_a_token_in_the_negative_prompt_and_in_perp_neg_counts(tiny_folder: Path, tmp_path: Path) -> None:
    both = load(tiny_folder, taught(tmp_path / "a"), taught(tmp_path / "b", "<dog>", seed=1))
    for one in ("negative_prompt", "negatives"):
        values: list[Any] = ["<bird>", "<dog>"]
        if one == "negatives":
            values = [(Negative(value, -1.5),) for value in values]
        pictures = {drawn(both, "a bird", **{one: value}) for value in values}
        assert len(pictures | {drawn(both, "a bird")}) == 3


def test_a_lora_reaches_the_picture_and_goes_with_a_token(
    tiny_folder: Path, tmp_path: Path, model: TextToImage
) -> None:
    lora, token = taught_lora(tmp_path / "lora", tiny_folder), taught(tmp_path / "token")
    with_lora = load(tiny_folder, lora, token)
    assert drawn(with_lora, "a bird") == drawn(load(tiny_folder, lora), "a bird") != drawn(model, "a bird")
    assert drawn(with_lora, "a <bird>") != drawn(load(tiny_folder, token), "a <bird>")


@pytest.mark.parametrize("prompt", ["a photo of <zebra>", "<bird> and <zebra>s"])
def test_a_new_word_that_was_not_loaded_is_refused(tiny_folder: Path, tmp_path: Path, prompt: str) -> None:
    loaded = load(tiny_folder, taught(tmp_path))
    with pytest.raises(ValueError, match=r"sample 0{32}: the prompt has <zebra>, which the tokenizer doesn't"):
        next(loaded.generate(said(prompt), 1))
    with pytest.raises(ValueError, match="the prompt has <zebra>"):
        next(loaded.generate(said("a bird", negative_prompt="no <zebra>"), 1))
    with pytest.raises(ValueError, match="the prompt has <zebra>"):
        next(loaded.generate(said("a bird", negatives=(Negative("a <zebra>", -1.0),)), 1))


def test_angle_brackets_that_hold_no_word_are_drawn(model: TextToImage) -> None:
    assert drawn(model, "a bird < 2 metres and > 1") != drawn(model, "a bird")


def test_every_pipelines_tokenizer_is_asked(pixel_folder: Path) -> None:
    loaded = load(pixel_folder)
    with pytest.raises(ValueError, match="the prompt has <zebra>"):
        next(loaded.generate(said("a <zebra>"), 1))


def test_folders_that_hold_nothing_to_load_are_told(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFilesError, match="it holds neither; was its training finished"):
        load(tiny_folder, tmp_path / "nowhere")
    both = taught(tmp_path / "both")
    (both / LORA).write_bytes(b"")
    with pytest.raises(ModelFilesError, match="it holds both"):
        load(tiny_folder, both)
    torn = taught(tmp_path / "torn")
    (torn / EMBEDDINGS).write_bytes(b"torn")
    with pytest.raises(ModelFilesError, match="can't be read"):
        load(tiny_folder, torn)
    save_file({"<a>": torch.ones(32), "<b>": torch.ones(32)}, torn / EMBEDDINGS)
    with pytest.raises(ModelFilesError, match="holds 2 tensors"):
        load(tiny_folder, torn)


def test_what_does_not_fit_the_model_is_told(tiny_folder: Path, pixel_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFilesError, match="can't be loaded into this pipeline"):
        load(tiny_folder, taught(tmp_path / "wide", width=48))
    with pytest.raises(ValueError, match="IFPipeline takes no learned embeddings"):
        load(pixel_folder, taught(tmp_path / "a"))
    torn = tmp_path / "torn"
    torn.mkdir()
    (torn / LORA).write_bytes(b"torn")
    with pytest.raises(ModelFilesError, match="can't be loaded into this pipeline"):
        load(tiny_folder, torn)


def test_two_of_a_kind_are_refused(tiny_folder: Path, tmp_path: Path) -> None:
    twice = taught(tmp_path / "a"), taught(tmp_path / "b")
    with pytest.raises(ValueError, match="token <bird> is taught by two of the personal folders"):
        load(tiny_folder, *twice)
    lora = taught_lora(tmp_path / "lora", tiny_folder)
    with pytest.raises(ValueError, match="2 LoRAs were asked for"):
        load(tiny_folder, lora, lora)
