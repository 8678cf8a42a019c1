"""Tiny but real checkpoints of segmenters and editors, untrained and seeded, in the libraries' own formats.

``write_tiny_clipseg``, ``write_tiny_grounding_dino`` and ``write_tiny_sam`` write what transformers reads;
``write_tiny_inpainting`` (a U-Net of 9 channels) and ``write_tiny_instruct`` (of 8) what diffusers reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.tiny_models import IMAGE_SIZE, tiny_pipeline_parts, tiny_tokenizer, tiny_unet

SEGMENTER_SIZE = 64


def write_tiny_clipseg(folder: Path | str, *, seed: int = 0) -> Path:
    """Write a ``CLIPSegForImageSegmentation`` folder (64x64 maps) and return it."""
    import torch
    from transformers import CLIPSegConfig, CLIPSegForImageSegmentation, CLIPSegProcessor, ViTImageProcessor

    text = {
        "vocab_size": 514,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 24,
        "bos_token_id": 512,
        "eos_token_id": 513,
        "pad_token_id": 513,
    }
    vision = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SEGMENTER_SIZE,
        "patch_size": 16,
    }
    config = CLIPSegConfig(
        text_config=text,
        vision_config=vision,
        projection_dim=16,
        extract_layers=[0, 1],
        reduce_dim=8,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CLIPSegForImageSegmentation(config)
    model.save_pretrained(str(folder))
    size = {"height": SEGMENTER_SIZE, "width": SEGMENTER_SIZE}
    CLIPSegProcessor(ViTImageProcessor(size=size), tiny_tokenizer()).save_pretrained(str(folder))
    return Path(folder)


def write_tiny_grounding_dino(folder: Path | str, *, seed: int = 0) -> Path:
    """Write a ``GroundingDinoForObjectDetection`` folder (pictures in a 64x64 square, 6 queries) and return it."""
    import torch
    from transformers import (
        BertConfig,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessor,
        GroundingDinoProcessor,
        SwinConfig,
    )

    tokenizer = tiny_bert_tokenizer()
    swin = SwinConfig(
        image_size=SEGMENTER_SIZE,
        embed_dim=8,
        depths=[1, 1, 1],
        num_heads=[1, 2, 2],
        window_size=4,
        patch_size=4,
        out_features=["stage2", "stage3"],
    )
    bert = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    config = GroundingDinoConfig(
        backbone_config=swin,
        text_config=bert,
        num_queries=6,
        encoder_layers=1,
        encoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_layers=2,
        decoder_ffn_dim=32,
        decoder_attention_heads=2,
        d_model=32,
        num_feature_levels=2,
        encoder_n_points=2,
        decoder_n_points=2,
        max_text_len=32,
        disable_custom_kernels=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = GroundingDinoForObjectDetection(config)
    model.save_pretrained(str(folder))
    images = GroundingDinoImageProcessor(size={"shortest_edge": 48, "longest_edge": SEGMENTER_SIZE})
    GroundingDinoProcessor(images, tokenizer).save_pretrained(str(folder))
    return Path(folder)


def write_tiny_sam(folder: Path | str, *, seed: int = 0) -> Path:
    """Write a ``SamModel`` folder (64x64 pictures) and return it."""
    import torch
    from transformers import SamConfig, SamImageProcessor, SamModel, SamProcessor

    vision = {
        "hidden_size": 16,
        "output_channels": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": SEGMENTER_SIZE,
        "patch_size": 8,
        "window_size": 4,
        "global_attn_indexes": [0],
        "num_pos_feats": 8,
        "mlp_dim": 32,
        "initializer_range": 0.02,
    }
    prompts = {"hidden_size": 16, "image_size": SEGMENTER_SIZE, "patch_size": 8, "mask_input_channels": 4}
    decoder = {
        "hidden_size": 16,
        "mlp_dim": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "iou_head_depth": 2,
        "iou_head_hidden_dim": 16,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = SamModel(SamConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder))
    model.save_pretrained(str(folder))
    square = {"height": SEGMENTER_SIZE, "width": SEGMENTER_SIZE}
    images = SamImageProcessor(size={"longest_edge": SEGMENTER_SIZE}, pad_size=square)
    SamProcessor(images).save_pretrained(str(folder))
    return Path(folder)


def write_tiny_inpainting(folder: Path | str, *, seed: int = 0) -> Path:
    """Write a ``StableDiffusionInpaintPipeline`` folder with a U-Net of 9 channels (32x32 pictures) and return it."""
    from diffusers import StableDiffusionInpaintPipeline

    parts = tiny_pipeline_parts(seed, unet=lambda: tiny_unet(in_channels=9))
    StableDiffusionInpaintPipeline(**parts).save_pretrained(str(folder), safe_serialization=True)
    return Path(folder)


def write_tiny_instruct(folder: Path | str, *, seed: int = 0) -> Path:
    """Write a ``StableDiffusionInstructPix2PixPipeline`` folder with a U-Net of 8 channels and return it."""
    from diffusers import StableDiffusionInstructPix2PixPipeline

    parts = tiny_pipeline_parts(seed, unet=lambda: tiny_unet(in_channels=8))
    StableDiffusionInstructPix2PixPipeline(**parts).save_pretrained(str(folder), safe_serialization=True)
    return Path(folder)


def tiny_bert_tokenizer() -> Any:
    """Return a ``BertTokenizer`` that knows letters only: any phrase is tokenized."""
    from transformers import BertTokenizer

    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", *letters, *(f"##{letter}" for letter in letters)]
    return BertTokenizer(vocab={word: index for index, word in enumerate(words)}, model_max_length=64)


__all__ = [
    "IMAGE_SIZE",
    "SEGMENTER_SIZE",
    "write_tiny_clipseg",
    "write_tiny_grounding_dino",
    "write_tiny_inpainting",
    "write_tiny_instruct",
    "write_tiny_sam",
]
