"""Tiny but real checkpoints in the libraries' own formats, untrained and seeded, for quick tests.

``write_tiny_diffusion`` (latent) and ``write_tiny_pixel_diffusion`` write what
``AutoPipelineForText2Image.from_pretrained`` reads, and ``write_tiny_clip`` what open_clip reads from
``local-dir:``. Each takes about a second once the libraries are imported, and 1 to 4 MB.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

IMAGE_SIZE = 32
"""Pixels a side of both tiny models' pictures."""


def write_tiny_diffusion(folder: Path | str, *, seed: int = 0, **scheduler_config: Any) -> Path:
    """Write a ``StableDiffusionPipeline`` folder (32x32 pictures, 16x16 latents) and return it.

    ``scheduler_config`` overrides entries of its DDIM scheduler's config, for example ``prediction_type``.
    """
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline(**tiny_pipeline_parts(seed, **scheduler_config))
    pipeline.save_pretrained(str(folder), safe_serialization=True)
    return Path(folder)


def tiny_pipeline_parts(seed: int, unet: Callable[[], Any] | None = None, **scheduler_config: Any) -> dict[str, Any]:
    """Return what a Stable Diffusion pipeline is made of: tiny models with seeded weights, and a DDIM scheduler."""
    import torch
    from diffusers import DDIMScheduler

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = {"unet": (unet or tiny_unet)(), "vae": _vae(), "text_encoder": _text_encoder()}
    config = {
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
        **scheduler_config,
    }
    return {
        **parts,
        "tokenizer": tiny_tokenizer(),
        "scheduler": DDIMScheduler(**config),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }


def write_tiny_pixel_diffusion(folder: Path | str, *, seed: int = 0) -> Path:
    """Write an ``IFPipeline`` folder, which samples 32x32 pixels with a learned variance, and return it."""
    import torch
    from diffusers import DDPMScheduler, IFPipeline
    from transformers import T5Config, T5EncoderModel, T5Tokenizer

    letters = [(letter, -2.0) for letter in "abcdefghijklmnopqrstuvwxyz"]
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -10.0), ("\u2581", -1.0)]
    tokenizer = T5Tokenizer(vocab=[*special, *letters], extra_ids=0)
    config = T5Config(vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet, text_encoder = _pixel_unet(), T5EncoderModel(config)
    scheduler = DDPMScheduler(variance_type="learned_range", beta_schedule="squaredcos_cap_v2", thresholding=True)
    pipeline = IFPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(str(folder), safe_serialization=True)
    return Path(folder)


def write_tiny_clip(folder: Path | str, *, seed: int = 0) -> Path:
    """Write an open_clip ``local-dir`` folder (32x32 pictures, 16-d embeddings) and return it."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    model_config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": IMAGE_SIZE, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    preprocess = {
        "size": IMAGE_SIZE,
        "mode": "RGB",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
        "interpolation": "bicubic",
        "resize_mode": "shortest",
        "fill_color": 0,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = open_clip.CLIP(**model_config)
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), str(path / "open_clip_model.safetensors"))
    config = {"model_cfg": model_config, "preprocess_cfg": preprocess}
    (path / "open_clip_config.json").write_text(json.dumps(config, indent=1))
    return path


def tiny_tokenizer() -> Any:
    """Return a ``CLIPTokenizer`` that knows single bytes only: any prompt is tokenized, 77 tokens at most."""
    from transformers import CLIPTokenizer

    symbols = _byte_symbols()
    words = [*symbols, *(symbol + "</w>" for symbol in symbols), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: index for index, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def _byte_symbols() -> list[str]:
    """Return the 256 printable characters that byte-level BPE writes for the bytes 0 to 255."""
    printable = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    shifted = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printable else chr(next(shifted)) for byte in range(256)]


def tiny_unet(in_channels: int = 4, **more: Any) -> Any:
    """Return a U-Net for 16x16 latents; inpainting has 9 channels, InstructPix2Pix 8."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=IMAGE_SIZE // 2,
        in_channels=in_channels,
        out_channels=4,
        block_out_channels=(32, 32),
        layers_per_block=1,
        norm_num_groups=8,
        attention_head_dim=8,
        cross_attention_dim=32,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        **more,
    )


def _pixel_unet() -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=IMAGE_SIZE,
        in_channels=3,
        out_channels=6,
        block_out_channels=(16, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=8,
        cross_attention_dim=16,
        encoder_hid_dim=16,
        encoder_hid_dim_type="text_proj",
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )


def _vae() -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        layers_per_block=1,
        sample_size=IMAGE_SIZE,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    )


def _text_encoder() -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=514,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
    )
    return CLIPTextModel(config)
