"""Tiny but real checkpoints of other text-to-image pipelines, untrained and seeded: of flow matching, an LCM.

Each ``write_tiny_*`` writes what ``AutoPipelineForText2Image.from_pretrained`` reads, with 16x16 latents or fewer. What
these models draw means nothing; which arguments they heed, and what their rows depend on, is what the real ones do.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.tiny_models import tiny_pipeline_parts, tiny_tokenizer, tiny_unet


def write_tiny_sd3(folder: Path, scheduler: Any = None, **scheduler_config: Any) -> Path:
    """Write a ``StableDiffusion3Pipeline`` folder; its sizes are multiples of 2."""
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
    from transformers import CLIPTextModelWithProjection

    t5, t5_tokenizer = _t5()
    parts = _seeded(
        lambda: {
            "transformer": SD3Transformer2DModel(
                sample_size=16,
                patch_size=1,
                in_channels=4,
                num_layers=1,
                attention_head_dim=8,
                num_attention_heads=4,
                joint_attention_dim=64,
                caption_projection_dim=32,
                pooled_projection_dim=64,
                out_channels=4,
                pos_embed_max_size=64,
            ),
            "vae": _vae(4),
            "text_encoder": CLIPTextModelWithProjection(_clip_config()),
            "text_encoder_2": CLIPTextModelWithProjection(_clip_config()),
            "text_encoder_3": t5(),
        }
    )
    return _save(
        folder,
        StableDiffusion3Pipeline(
            **parts,
            tokenizer=tiny_tokenizer(),
            tokenizer_2=tiny_tokenizer(),
            tokenizer_3=t5_tokenizer,
            scheduler=scheduler or FlowMatchEulerDiscreteScheduler(**{"shift": 3.0, **scheduler_config}),
        ),
    )


def write_tiny_flux(folder: Path, *, guidance_embeds: bool = False) -> Path:
    """Write a ``FluxPipeline`` folder; its vae halves a side, and its latents are packed by 2x2."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
    from transformers import CLIPTextModel

    t5, t5_tokenizer = _t5(32)
    parts = _seeded(
        lambda: {
            "transformer": FluxTransformer2DModel(
                patch_size=1,
                in_channels=16,
                num_layers=1,
                num_single_layers=1,
                attention_head_dim=16,
                num_attention_heads=2,
                joint_attention_dim=32,
                pooled_projection_dim=32,
                axes_dims_rope=(4, 4, 8),
                guidance_embeds=guidance_embeds,
            ),
            "vae": _vae(4, blocks=4, shift_factor=0.0, scaling_factor=1.0),
            "text_encoder": CLIPTextModel(_clip_config()),
            "text_encoder_2": t5(),
        }
    )
    return _save(
        folder,
        FluxPipeline(
            **parts, tokenizer=tiny_tokenizer(), tokenizer_2=t5_tokenizer, scheduler=FlowMatchEulerDiscreteScheduler()
        ),
    )


def write_tiny_lcm(folder: Path) -> Path:
    """Write a ``LatentConsistencyModelPipeline`` folder."""
    from diffusers import LatentConsistencyModelPipeline, LCMScheduler

    parts = tiny_pipeline_parts(0, unet=lambda: tiny_unet(time_cond_proj_dim=16))
    parts["scheduler"] = LCMScheduler.from_config(parts["scheduler"].config)
    return _save(folder, LatentConsistencyModelPipeline(**parts))


def write_tiny_cogview4(folder: Path) -> Path:
    """Write a ``CogView4Pipeline`` folder: it pads prompts to the longest of a batch and attends to the padding."""
    from diffusers import CogView4Pipeline, CogView4Transformer2DModel, FlowMatchEulerDiscreteScheduler
    from transformers import GlmConfig, GlmModel

    _, tokenizer = _t5()
    tokenizer.padding_side = "left"
    config = GlmConfig(
        hidden_size=32,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    parts = _seeded(
        lambda: {
            "transformer": CogView4Transformer2DModel(
                patch_size=2,
                in_channels=4,
                num_layers=2,
                attention_head_dim=4,
                num_attention_heads=4,
                out_channels=4,
                text_embed_dim=32,
                time_embed_dim=8,
                condition_dim=4,
            ),
            "vae": _vae(4),
            "text_encoder": GlmModel(config),
        }
    )
    return _save(
        folder,
        CogView4Pipeline(
            **parts,
            tokenizer=tokenizer,
            scheduler=FlowMatchEulerDiscreteScheduler(
                base_shift=0.25,
                max_shift=0.75,
                base_image_seq_len=256,
                use_dynamic_shifting=True,
                time_shift_type="linear",
            ),
        ),
    )


def write_tiny_qwen_image(folder: Path) -> Path:
    """Write a ``QwenImagePipeline`` folder: its model was not distilled from guidance, and takes true_cfg_scale."""
    from diffusers import (
        AutoencoderKLQwenImage,
        FlowMatchEulerDiscreteScheduler,
        QwenImagePipeline,
        QwenImageTransformer2DModel,
    )
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    from tests.tiny_text_models import BOS, EOS, IMAGE, VOCABULARY, byte_tokenizer

    sizes = {"hidden_size": 16, "intermediate_size": 16}
    rope = {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"}
    text = {
        **sizes,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "rope_scaling": rope,
        "rope_theta": 1e6,
        "vocab_size": VOCABULARY,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
    }
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config={**sizes, "depth": 1, "num_heads": 2, "out_hidden_size": 16},
        hidden_size=16,
        vocab_size=VOCABULARY,
        vision_end_token_id=1,
        vision_start_token_id=2,
        vision_token_id=3,
        image_token_id=IMAGE,
    )
    parts = _seeded(
        lambda: {
            "transformer": QwenImageTransformer2DModel(
                patch_size=2,
                in_channels=16,
                out_channels=4,
                num_layers=1,
                attention_head_dim=16,
                num_attention_heads=2,
                joint_attention_dim=16,
                axes_dims_rope=(8, 4, 4),
            ),
            "vae": AutoencoderKLQwenImage(
                base_dim=8,
                z_dim=4,
                dim_mult=[1, 2, 4],
                num_res_blocks=1,
                temperal_downsample=[False, True],
                latents_mean=[0.0] * 4,
                latents_std=[1.0] * 4,
            ),
            "text_encoder": Qwen2_5_VLForConditionalGeneration(config),
        }
    )
    return _save(
        folder, QwenImagePipeline(**parts, tokenizer=byte_tokenizer(), scheduler=FlowMatchEulerDiscreteScheduler())
    )


def write_tiny_kandinsky22(folder: Path) -> Path:
    """Write a ``KandinskyV22CombinedPipeline`` folder: a prior makes of a prompt what the decoder draws."""
    import torch
    from diffusers import (
        DDPMScheduler,
        KandinskyV22CombinedPipeline,
        PriorTransformer,
        UnCLIPScheduler,
        UNet2DConditionModel,
        VQModel,
    )
    from transformers import (
        CLIPImageProcessor,
        CLIPTextModelWithProjection,
        CLIPVisionConfig,
        CLIPVisionModelWithProjection,
    )

    vision = CLIPVisionConfig(
        hidden_size=16,
        image_size=32,
        projection_dim=32,
        num_attention_heads=2,
        num_hidden_layers=1,
        patch_size=16,
        intermediate_size=16,
    )
    parts = _seeded(
        lambda: {
            "unet": UNet2DConditionModel(
                in_channels=4,
                out_channels=8,
                addition_embed_type="image",
                encoder_hid_dim=32,
                cross_attention_dim=32,
                down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
                attention_head_dim=4,
                up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
                layers_per_block=1,
                mid_block_type="UNetMidBlock2DSimpleCrossAttn",
                block_out_channels=(32, 64),
                encoder_hid_dim_type="image_proj",
                resnet_time_scale_shift="scale_shift",
            ),
            "movq": VQModel(
                block_out_channels=(32, 64),
                down_block_types=("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
                up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D"),
                latent_channels=4,
                norm_num_groups=8,
                norm_type="spatial",
                num_vq_embeddings=12,
                vq_embed_dim=4,
            ),
            "prior_prior": PriorTransformer(
                num_attention_heads=2, attention_head_dim=12, embedding_dim=32, num_layers=1
            ),
            "prior_image_encoder": CLIPVisionModelWithProjection(vision),
            "prior_text_encoder": CLIPTextModelWithProjection(_clip_config()),
        }
    )
    parts["prior_prior"].clip_std = torch.nn.Parameter(torch.ones(1, 32))
    return _save(
        folder,
        KandinskyV22CombinedPipeline(
            **parts,
            prior_tokenizer=tiny_tokenizer(),
            prior_image_processor=CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
            scheduler=DDPMScheduler(clip_sample=False, variance_type="learned_range"),
            prior_scheduler=UnCLIPScheduler(
                variance_type="fixed_small_log", prediction_type="sample", clip_sample_range=5.0
            ),
        ),
    )


def _seeded(make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make()


def _save(folder: Path, pipeline: Any) -> Path:
    pipeline.save_pretrained(str(folder), safe_serialization=True)
    return folder


def _vae(channels: int, blocks: int = 2, **more: Any) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=channels,
        block_out_channels=(8,) * (blocks - 1) + (16,),
        norm_num_groups=4,
        layers_per_block=1,
        sample_size=32,
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        use_quant_conv=False,
        use_post_quant_conv=False,
        **{"shift_factor": 0.06, "scaling_factor": 1.5, **more},
    )


def _clip_config() -> Any:
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=514,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        projection_dim=32,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
    )


def _t5(width: int = 64) -> tuple[Callable[[], Any], Any]:
    """Return what makes a T5 encoder of ``width`` dimensions, and its tokenizer of letters."""
    from transformers import T5Config, T5EncoderModel, T5Tokenizer

    letters = [(letter, -2.0) for letter in "abcdefghijklmnopqrstuvwxyz"]
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -10.0), ("\u2581", -1.0)]
    tokenizer = T5Tokenizer(vocab=[*special, *letters], extra_ids=0)
    config = T5Config(vocab_size=len(tokenizer), d_model=width, d_kv=8, d_ff=32, num_layers=1, num_heads=4)
    return lambda: T5EncoderModel(config), tokenizer
