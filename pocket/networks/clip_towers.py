"""pocket-clip's towers under transformers' names, as the start of models that build on CLIP."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from fairshards.pocket import checkpoint_path

HEAD_WIDTH = 32
BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
VISION = {
    "class_embedding": "embeddings.class_embedding",
    "conv1.weight": "embeddings.patch_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_pre.weight": "pre_layrnorm.weight",
    "ln_pre.bias": "pre_layrnorm.bias",
    "ln_post.weight": "post_layernorm.weight",
    "ln_post.bias": "post_layernorm.bias",
}
TEXT = {
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}


def clip_state(folder: Path | None = None) -> dict[str, Tensor]:
    """open_clip's weights of pocket-clip (or of a folder), float32."""
    path = (folder or checkpoint_path("pocket-clip")) / "open_clip_model.safetensors"
    return {name: value.float() for name, value in load_file(path).items()}


def _block(name: str, value: Tensor) -> dict[str, Tensor]:
    """A weight of a transformer block; open_clip keeps query, key and value in one."""
    number, part = name.split(".", 1)
    module, kind = part.replace("in_proj_", "in_proj.").rsplit(".", 1)
    if module == "attn.in_proj":
        thirds = zip(("q", "k", "v"), torch.chunk(value, 3), strict=True)
        return {f"encoder.layers.{number}.self_attn.{each}_proj.{kind}": third.clone() for each, third in thirds}
    return {f"encoder.layers.{number}.{BLOCK[module]}.{kind}": value}


def _tower(state: dict[str, Tensor], names: dict[str, str]) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    for name, value in state.items():
        if name.startswith("transformer.resblocks."):
            weights |= _block(name.removeprefix("transformer.resblocks."), value)
        elif name in names:
            weights[names[name]] = value
    return weights


def vision_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The image tower for CLIP's vision transformer in transformers (and GIT's, which is the same)."""
    inside = {name.removeprefix("visual."): value for name, value in state.items() if name.startswith("visual.")}
    return _tower(inside, VISION)


def text_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The text tower for CLIP's text transformer in transformers (and CLIPSeg's, which is the same)."""
    return _tower({name: value for name, value in state.items() if not name.startswith("visual.")}, TEXT)
