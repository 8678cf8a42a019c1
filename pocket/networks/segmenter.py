"""pocket-segmenter: a small CLIPSeg whose text tower starts from pocket-clip's. Its image tower has patches of 4x4,
since a mask can't be finer than what a patch's few numbers say of it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoProcessor,
    CLIPSegConfig,
    CLIPSegForImageSegmentation,
    CLIPSegProcessor,
    CLIPTokenizer,
    ViTImageProcessor,
)

from fairshards.pocket.networks.clip_model import EMBEDDING
from fairshards.pocket.networks.clip_towers import HEAD_WIDTH, clip_state, text_weights
from fairshards.pocket.networks.export import halved
from fairshards.pocket.networks.models import TEXT_LENGTH
from fairshards.pocket.networks.tokenizer import new_tokenizer
from fairshards.pocket.scenes.scene import SIZE

WIDTH = 96
PATCH = 4
TEXT_WIDTH = 96


def new_segmenter(tokenizer: CLIPTokenizer) -> CLIPSegForImageSegmentation:
    """The untrained model: four layers on 256 patches, a decoder of three layers that the prompt modulates."""
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": TEXT_WIDTH,
        "intermediate_size": 4 * TEXT_WIDTH,
        "num_hidden_layers": 3,
        "num_attention_heads": TEXT_WIDTH // HEAD_WIDTH,
        "hidden_act": "gelu",
        "max_position_embeddings": TEXT_LENGTH,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {
        "hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "num_hidden_layers": 4,
        "hidden_act": "gelu",
        "num_attention_heads": WIDTH // HEAD_WIDTH,
        "image_size": SIZE,
        "patch_size": PATCH,
    }
    config = CLIPSegConfig(
        text_config=text,
        vision_config=vision,
        projection_dim=EMBEDDING,
        extract_layers=[1, 2, 3],
        reduce_dim=64,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=128,
    )
    return CLIPSegForImageSegmentation(config)


def start_from_clip(model: CLIPSegForImageSegmentation) -> None:
    """Give the model's text tower the weights of pocket-clip's."""
    state = clip_state()
    model.clip.text_model.load_state_dict(text_weights(state))
    model.clip.text_projection.load_state_dict({"weight": state["text_projection"].T.contiguous()})


def save_segmenter(model: CLIPSegForImageSegmentation, folder: Path) -> None:
    """Write the folder that transformers loads: float16 weights, config, processor."""
    tokenizer, half = new_tokenizer(), [0.5, 0.5, 0.5]
    halved(model, new_segmenter(tokenizer)).save_pretrained(folder)
    images = ViTImageProcessor(size={"height": SIZE, "width": SIZE}, image_mean=half, image_std=half)
    CLIPSegProcessor(images, tokenizer).save_pretrained(folder)


def mask_logits(model: CLIPSegForImageSegmentation, pixels: Tensor, tokens: Tensor, chosen: Tensor) -> Tensor:
    """Logits (n, k, 64, 64) of ``chosen`` prompts, int64 (n, k) rows of ``tokens``, on pictures (n, 3, 64, 64).

    What the model's own forward gives, but each picture goes through the image tower once for all its prompts.
    """
    hidden = model.clip.vision_model(pixels, output_hidden_states=True).hidden_states
    each = chosen.shape[1]
    activations = [hidden[layer + 1].repeat_interleave(each, 0) for layer in model.config.extract_layers]
    prompts = model.get_conditional_embeddings(batch_size=len(tokens), input_ids=tokens)
    logits: Tensor = model.decoder(activations, prompts[chosen.flatten()]).logits
    return logits.view(len(pixels), each, SIZE, SIZE)


@torch.inference_mode()
def segment(folder: Path, images: Tensor, prompts: Sequence[str], batch: int = 50) -> Tensor:
    """The folder's masks, bool (n, 64, 64), of one prompt for each uint8 picture (n, 3, 64, 64)."""
    model: Any = CLIPSegForImageSegmentation.from_pretrained(folder, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(folder)
    masks = []
    for first in range(0, len(images), batch):
        part = {"text": list(prompts[first : first + batch]), "images": list(images[first : first + batch])}
        masks.append(model(**processor(**part, padding=True, return_tensors="pt")).logits > 0)
    return torch.cat(masks)
