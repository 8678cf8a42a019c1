"""DreamBooth by LoRA: what is trained, what changes, and that diffusers reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.core.index import Sample
from fairshards.trainers.core.seeding import seeded
from fairshards.trainers.personal.dreambooth_lora import new_lora
from fairshards.trainers.personal.personalise import frozen_pipeline
from fairshards.trainers.personal.settings import DREAMBOOTH_LORA
from tests.tolerance import network_error
from tests.trainers.concepts import WORDS, load, quick, teach_cross

CPU = torch.device("cpu")


def lora(folder: Path, **changes: Any) -> tuple[Any, Any]:
    """Return a frozen pipeline with new LoRA layers, and its learner."""
    settings = quick(DREAMBOOTH_LORA, **changes)
    with seeded(0, CPU):
        pipeline = frozen_pipeline(folder, settings, CPU)
        return pipeline, new_lora(pipeline, WORDS, settings)


@torch.no_grad()
def predicted(pipeline: Any) -> torch.Tensor:
    """Return what the U-Net says of a fixed input, [1, 4, 16, 16]."""
    draw = torch.Generator().manual_seed(0)
    noisy, text = torch.randn(1, 4, 16, 16, generator=draw), torch.randn(1, 7, 32, generator=draw)
    found: torch.Tensor = pipeline.unet(noisy, 500, encoder_hidden_states=text).sample
    return found


def test_new_layers_change_nothing_and_are_all_that_is_trained(tiny_folder: Path) -> None:
    pipeline, learner = lora(tiny_folder)
    assert torch.equal(predicted(pipeline), predicted(load(tiny_folder)))
    names = [name for name, one in pipeline.unet.named_parameters() if one.requires_grad]
    assert len(names) == len(learner.trained) and all("lora_" in name for name in names)
    assert {name.rpartition(".lora_")[0].split(".attn")[1][2:] for name in names} == {
        "to_q",
        "to_k",
        "to_v",
        "to_out.0",
    }
    assert not any(one.requires_grad for part in (pipeline.vae, pipeline.text_encoder) for one in part.parameters())
    assert learner.prompts == ("a photo of a odd cross",)


def test_a_target_that_the_unet_lacks_is_told(tiny_folder: Path) -> None:
    with pytest.raises(TrainerError, match="the U-Net has no layer to_nowhere; attention's are"):
        lora(tiny_folder, lora_targets=("to_q", "to_nowhere"))


@pytest.mark.parametrize("alpha", [None, 6.0])
def test_diffusers_computes_what_was_trained(tiny_folder: Path, tmp_path: Path, alpha: float | None) -> None:
    """With the rank as alpha and with another, the written file means what the trained U-Net computes."""
    pipeline, learner = lora(tiny_folder, lora_rank=2, lora_alpha=alpha)
    with torch.no_grad():
        for one in learner.trained:
            one.add_(0.1)
    learner.write(tmp_path, {"task": "t"})
    loaded = load(tiny_folder)
    loaded.load_lora_weights(str(tmp_path))  # as diffusers' own documentation does
    expected = predicted(pipeline)
    close = network_error(layers=30, terms=9 * 32, magnitude=float(expected.abs().max()))  # of the tiny U-Net
    assert torch.allclose(predicted(loaded), expected, atol=close)
    assert not torch.allclose(predicted(loaded), predicted(load(tiny_folder)), atol=1e-2)


def test_a_training_changes_the_added_layers(tiny_folder: Path, tmp_path: Path, crosses: tuple[Sample, ...]) -> None:
    made = teach_cross(tmp_path, tiny_folder, crosses, quick(DREAMBOOTH_LORA, lora_rank=3))
    state = load_file(made.folder / "pytorch_lora_weights.safetensors")
    assert all(name.startswith("unet.") for name in state)
    ranks = {tensor.shape[0] for name, tensor in state.items() if "lora_A" in name or "lora.down" in name}
    assert ranks == {3}
    assert all(tensor.abs().max() > 0 for tensor in state.values())
