"""pocket-clip: an open_clip model of two small towers, its folder, and the embeddings that check its preprocessing."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.model import CLIP
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTokenizer

from fairshards.pocket.networks.models import TEXT_LENGTH
from fairshards.pocket.networks.tokenizer import new_tokenizer
from fairshards.pocket.scenes.render import render_sample
from fairshards.pocket.scenes.scene import SIZE

EMBEDDING = 96
PREPROCESS = {
    "size": [SIZE, SIZE],
    "mode": "RGB",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
    "fill_color": 0,
}
GOLDEN = {"domain": "clip-heldout", "seed": 1, "index": 0, "class_name": "waterbird", "background": "water"}


def clip_config(vocabulary: int) -> dict[str, Any]:
    """open_clip's model configuration: ViT of 64 patches of 8x8, text transformer of three layers."""
    return {
        "embed_dim": EMBEDDING,
        "vision_cfg": {"image_size": SIZE, "layers": 4, "width": 128, "head_width": 32, "patch_size": 8},
        "text_cfg": {
            "context_length": TEXT_LENGTH,
            "vocab_size": vocabulary,
            "hf_tokenizer_name": "pocket-clip",
            "width": 96,
            "heads": 3,
            "layers": 3,
        },
    }


def new_clip(tokenizer: CLIPTokenizer) -> CLIP:
    """The untrained model."""
    config = clip_config(len(tokenizer))
    return CLIP(**config)


def save_clip(model: CLIP, folder: Path) -> None:
    """Write the folder that ``open_clip`` loads as ``local-dir:<folder>``: weights in float16, config, tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = new_tokenizer()
    weights = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors", metadata={"format": "pt"})
    config = {"model_cfg": clip_config(len(tokenizer)), "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
    tokenizer.save_pretrained(folder)
    golden = {"picture": GOLDEN, "png": golden_png(), "embedding": golden_embedding(folder).tolist()}
    (folder / "golden.json").write_text(json.dumps(golden, indent=2) + "\n")


def load_clip(folder: Path) -> tuple[CLIP, Any, Any]:
    """Model in float32 and evaluation mode, preprocessing transform, tokenizer."""
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    return model.eval(), preprocess, open_clip.get_tokenizer(f"local-dir:{folder}")


def golden_png() -> str:
    """The golden picture as base64 PNG, so that a loader can check the model without the renderer."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(render_sample(**GOLDEN).image).save(buffer, format="PNG")  # type: ignore[arg-type]
    return base64.b64encode(buffer.getvalue()).decode()


@torch.inference_mode()
def golden_embedding(folder: Path) -> Tensor:
    """First eight values of the normalised embedding of the golden picture, through the folder's own preprocessing."""
    from PIL import Image

    model, preprocess, _ = load_clip(folder)
    picture = Image.fromarray(render_sample(**GOLDEN).image)  # type: ignore[arg-type]
    embedding: Tensor = model.encode_image(preprocess(picture)[None], normalize=True)[0, :8]
    return embedding
