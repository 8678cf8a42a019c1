"""The oracle: a small residual convolutional classifier that judges class and background of 64x64 pictures."""

from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import relu

from fairshards.pocket import checkpoint_path

WIDTHS = (24, 48, 96, 128)


class Block(nn.Module):
    """Residual block of two 3x3 convolutions that halves the picture."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.skip = nn.Conv2d(inputs, outputs, 1, stride=2, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(outputs) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.norms[1](self.second(relu(self.norms[0](self.first(x)))))
        return relu(hidden + self.skip(x))


class Oracle(nn.Module):
    """(n, 3, 64, 64) float32 in [-1, 1] to logits (n, 2, 2): head 0 class (landbird, waterbird), 1 background."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTHS[0], 3, stride=2, padding=1)
        self.blocks = nn.Sequential(*(Block(a, b) for a, b in pairwise(WIDTHS)))
        self.heads = nn.Linear(WIDTHS[-1], 4)

    def forward(self, images: Tensor) -> Tensor:
        features = self.blocks(relu(self.stem(images))).amax((2, 3))
        logits: Tensor = self.heads(features)
        return logits.view(-1, 2, 2)

    @torch.inference_mode()
    def judge(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Class index and background index, int64 (n,), of uint8 pictures (n, 3, 64, 64)."""
        parts = [self(part.float() / 127.5 - 1).argmax(-1) for part in torch.split(images, 256)]
        classes, backgrounds = torch.cat(parts).unbind(1)
        return classes, backgrounds


def save_oracle(model: Oracle, folder: Path) -> None:
    """Write ``oracle.safetensors`` in float16."""
    weights = {name: value.half() if value.is_floating_point() else value for name, value in model.state_dict().items()}
    save_file({name: value.contiguous() for name, value in weights.items()}, folder / "oracle.safetensors")


def load_oracle(folder: Path | None = None) -> Oracle:
    """The committed oracle (or that of a folder) in float32 and evaluation mode."""
    model = Oracle()
    model.load_state_dict(load_file((folder or checkpoint_path("oracle")) / "oracle.safetensors"))
    return model.float().eval().requires_grad_(False)
