"""Pocket models that cost as much as models of usual size and answer the same.

The hidden layer of each MLP gets copies of its neurons whose outgoing weights are zero: libraries multiply by them all
the same. So a stage that is measured with such a model has real answers to check, at a cost that isn't pocket's.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from fairshards.pipeline.pictures.models import model_folder

NEURONS_IN = re.compile(r"(visual\..*mlp\.c_fc|mlp\.fc1|intermediate\.dense|DenseReluDense\.wi)\.(weight|bias)$")
"""Weights with a row a hidden neuron, as open_clip, GIT and T5 name them; of open_clip the image tower's alone."""
NEURONS_OUT = re.compile(r"(visual\..*mlp\.c_proj|mlp\.fc2|\d\.output\.dense|DenseReluDense\.wo)\.weight$")
"""Weights with a column a hidden neuron."""
SIZES = ("intermediate_size", "d_ff")
"""What transformers' configs call the number of neurons; open_clip counts them in widths."""
TIMES = {"clip": 64, "captioner": 32, "extractor": 64}
"""How many times as many neurons: 32,768 of width 128, 16,384 of 128, 36,864 of 192."""


def overrides(root: Path) -> list[str]:
    """Write the three widened models below ``root`` and return the settings that name them in pocket-aspire."""
    folders = {name: widen(f"pocket:pocket-{name}", root / f"wide-{name}", times) for name, times in TIMES.items()}
    return [
        f"scorer.model={folders['clip']}",
        f"discovery.captioner.model={folders['captioner']}",
        f"discovery.extractor.model={folders['extractor']}",
    ]


def widen(model: str, folder: Path, times: int) -> Path:
    """Copy a pocket model into ``folder`` with ``times`` as many hidden neurons.

    Raises:
        ValueError: the model has no MLP that is known here.
    """
    shutil.copytree(model_folder(model), folder)
    (file,) = folder.glob("*.safetensors")
    weights = load_file(file)
    if not any(map(NEURONS_OUT.search, weights)):
        raise ValueError(f"{model} has no MLP of a known name; it has {sorted(weights)[:5]}")
    save_file({name: _widened(name, value, times) for name, value in weights.items()}, file, {"format": "pt"})
    for config in ("config.json", "open_clip_config.json"):
        if (folder / config).is_file():
            said = json.loads((folder / config).read_text())
            (folder / config).write_text(json.dumps(_resized(said, times)))
    return folder


def _widened(name: str, value: Tensor, times: int) -> Tensor:
    if NEURONS_IN.search(name):
        return torch.cat([value] * times).contiguous()
    if NEURONS_OUT.search(name):
        return torch.cat([value, *[torch.zeros_like(value)] * (times - 1)], 1).contiguous()
    return value


def _resized(said: Any, times: int) -> Any:
    """Return a config with the sizes of the widened MLPs."""
    if not isinstance(said, dict):
        return said
    made = {key: value * times if key in SIZES else _resized(value, times) for key, value in said.items()}
    if "vision_cfg" in made:
        made["vision_cfg"]["mlp_ratio"] = 4.0 * times
    return made
