"""pocket-captioner: a small GIT that starts from pocket-clip's image tower and its tokenizer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    CLIPImageProcessor,
    CLIPTokenizer,
    GitConfig,
    GitForCausalLM,
    GitProcessor,
)

from fairshards.pocket.networks.clip_towers import HEAD_WIDTH, clip_state, vision_weights
from fairshards.pocket.networks.export import halved
from fairshards.pocket.networks.models import TEXT_LENGTH
from fairshards.pocket.networks.tokenizer import new_tokenizer
from fairshards.pocket.scenes.scene import SIZE

WIDTH = 128


def captioner_tokenizer() -> CLIPTokenizer:
    """The pocket models' tokenizer with a padding token, which generation wants to be another than the end."""
    tokenizer = new_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "<|pad|>"})
    return tokenizer


def new_captioner(tokenizer: CLIPTokenizer) -> GitForCausalLM:
    """The untrained model: four layers on 64 patches of 8x8, then three layers on them and the words so far."""
    sizes = {"hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_attention_heads": WIDTH // HEAD_WIDTH}
    vision = {**sizes, "num_hidden_layers": 4, "image_size": SIZE, "patch_size": 8, "hidden_act": "gelu"}
    config = GitConfig(
        vision_config=vision,
        **sizes,
        num_hidden_layers=3,
        vocab_size=len(tokenizer),
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=4 * TEXT_LENGTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = GitForCausalLM(config)
    model.generation_config.max_length = TEXT_LENGTH
    return model


def start_from_clip(model: GitForCausalLM) -> None:
    """Give the model's image tower the weights of pocket-clip's."""
    model.git.image_encoder.vision_model.load_state_dict(vision_weights(clip_state()))


def new_image_processor() -> CLIPImageProcessor:
    """64x64 pixels in [-1, 1]."""
    half = [0.5, 0.5, 0.5]
    size = {"height": SIZE, "width": SIZE}
    return CLIPImageProcessor(size={"shortest_edge": SIZE}, crop_size=size, image_mean=half, image_std=half)


def save_captioner(model: GitForCausalLM, folder: Path) -> None:
    """Write the folder that transformers loads: float16 weights, config, generation settings, processor."""
    tokenizer = captioner_tokenizer()
    halved(model, new_captioner(tokenizer)).save_pretrained(folder)
    GitProcessor(new_image_processor(), tokenizer).save_pretrained(folder)


@torch.inference_mode()
def describe(folder: Path, images: Tensor, batch: int = 100) -> list[str]:
    """The folder's greedy captions of uint8 pictures (n, 3, 64, 64)."""
    model: Any = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(folder)
    captions: list[str] = []
    for part in torch.split(images, batch):
        pixels = processor(images=list(part), return_tensors="pt").pixel_values
        made: Sequence[str] = processor.batch_decode(model.generate(pixel_values=pixels), skip_special_tokens=True)
        captions += [" ".join(text.split()) for text in made]
    return captions
