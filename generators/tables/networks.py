"""Bt-GAN's networks: a conditional generator, a conditional discriminator, and the classifier.

See docs/methods.md#networks.

They see a row as ``TableEncoding`` gives it: normal scores first, then one-hot blocks. y and s stand beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fairshards.generators.tables.encoding import TableEncoding

LARGEST_SCORE = 4.0
"""Scores stay inside (-4, 4): one row in 30,000 of a normal distribution lies beyond."""
LARGEST_LOGIT = 8.0
NEVER = -1e9


@dataclass(frozen=True)
class Shape:
    """What decides the networks' shapes.

    Attributes:
        numerics: How many scores a row begins with.
        blocks: The sizes of the one-hot blocks after them.
        gates: Per score, the number of the block that says whether it is there; -1: it always is.
        classes, groups: How many values y and s have.
        noise, hidden, depth: Of the generator's input; of every hidden layer; how many there are.
        dropout: Of the discriminator.
    """

    numerics: int
    blocks: tuple[int, ...]
    gates: tuple[int, ...]
    classes: int
    groups: int
    noise: int = 100
    hidden: int = 128
    depth: int = 3
    dropout: float = 0.0

    @property
    def width(self) -> int:
        """How many numbers a row has."""
        return self.numerics + sum(self.blocks)

    @property
    def condition(self) -> int:
        """How many numbers y and s have together."""
        return self.classes + self.groups

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Shape:
        """Return the shape that ``to_json`` wrote."""
        return cls(**{**said, "blocks": tuple(said["blocks"]), "gates": tuple(said["gates"])})


def shape_of(encoding: TableEncoding, noise: int, hidden: int, depth: int, dropout: float) -> Shape:
    """Return the shape of networks for an encoding."""
    where = {block.column: number for number, block in enumerate(encoding.blocks)}
    return Shape(
        len(encoding.numerics),
        tuple(len(block.states) for block in encoding.blocks),
        tuple(where.get(name, -1) for name in encoding.numerics),
        len(encoding.classes),
        len(encoding.groups),
        noise,
        hidden,
        depth,
        dropout,
    )


def one_hot(y: Tensor, s: Tensor, shape: Shape) -> Tensor:
    """Return float32[n, classes + groups] of int64[n] class numbers."""
    parts = [functional.one_hot(y, shape.classes), functional.one_hot(s, shape.groups)]
    return torch.cat(parts, 1).float()


class Generator(nn.Module):
    """G(z, y, s): a row. Blocks are straight-through Gumbel-softmax: one-hot forward, soft backward.

    All blocks are drawn at once: each has as many logits as the widest one, and those that it doesn't need never win.
    The states stand first in that layout, since a softmax over a short last dimension is slow.
    """

    spare: Tensor
    flat: Tensor
    gate: Tensor
    always: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        layers: list[nn.Module] = []
        width = shape.noise + shape.condition
        for _ in range(shape.depth):
            layers += [nn.Linear(width, shape.hidden), nn.BatchNorm1d(shape.hidden), nn.ReLU(inplace=True)]
            width = shape.hidden
        states, blocks = self.uniforms
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, shape.numerics + states * blocks)
        self.linear = nn.Linear(shape.noise + shape.condition, shape.numerics + states * blocks, bias=False)
        self._lay_out_blocks()

    @property
    def uniforms(self) -> tuple[int, int]:
        """How many numbers of Gumbel noise a row takes: states of the widest block, and blocks."""
        return max(self.shape.blocks, default=0), len(self.shape.blocks)

    def _lay_out_blocks(self) -> None:
        shape, (states, blocks) = self.shape, self.uniforms
        there = torch.tensor([[state < size for size in shape.blocks] for state in range(states)], dtype=torch.bool)
        there = there.reshape(states, blocks)
        flat = [state * blocks + block for block, size in enumerate(shape.blocks) for state in range(size)]
        starts = [sum(shape.blocks[:block]) for block in range(blocks)]
        for name, value in {
            "spare": torch.where(there, 0.0, NEVER)[:, None],
            "flat": torch.tensor(flat, dtype=torch.long),
            "gate": torch.tensor([starts[gate] if gate >= 0 else 0 for gate in shape.gates], dtype=torch.long),
            "always": torch.tensor([gate < 0 for gate in shape.gates], dtype=torch.bool),
        }.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, z: Tensor, condition: Tensor, uniform: Tensor, tau: float) -> Tensor:
        """Return float32[n, width].

        Args:
            z: float32[n, noise], standard normal.
            condition: float32[n, classes + groups], as ``one_hot``.
            uniform: float32[states, n, blocks], in (0, 1): the Gumbel noise.
            tau: The temperature of the backward pass.
        """
        given = torch.cat([z, condition], 1)
        out = (self.head(self.body(given)) + self.linear(given)).float()
        scores = LARGEST_SCORE * torch.tanh(out[:, : self.shape.numerics] / LARGEST_SCORE)
        if not self.shape.blocks:
            return scores
        states, blocks = self.uniforms
        logits = out[:, self.shape.numerics :].reshape(-1, states, blocks).transpose(0, 1)
        soft = ((logits + self.spare - torch.log(-torch.log(uniform))) / tau).softmax(0)
        hard = (soft == soft.amax(0, keepdim=True)).float()
        straight = (hard - soft.detach() + soft).transpose(0, 1).reshape(-1, states * blocks)
        chosen = straight.index_select(1, self.flat)
        if self.shape.numerics:
            present = chosen.index_select(1, self.gate)
            scores = scores * torch.where(self.always, torch.ones_like(present), present)
        return torch.cat([scores, chosen], 1)


class PooledDropout(nn.Module):
    """Dropout whose masks are slices of one pool of draws, a new one every ``LIFE`` passes: drawing costs more than
    the layer that it follows.
    """

    POOL, LIFE = 1 << 20, 500

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share, self.pool, self.left = share, torch.zeros(0), 0

    def forward(self, x: Tensor) -> Tensor:
        """Return x with ``share`` of its numbers 0 and the others scaled up; as it is in evaluation mode."""
        if not self.training or not self.share:
            return x
        if x.numel() * 2 > self.POOL:
            return functional.dropout(x, self.share)
        if not self.left or self.pool.device != x.device:
            keep = 1 - self.share
            self.pool = torch.empty(self.POOL, device=x.device).bernoulli_(keep) / keep
            self.left = self.LIFE
        self.left -= 1
        start = int(torch.randint(self.POOL - x.numel(), ()))
        return x * self.pool[start : start + x.numel()].view_as(x)

    def renew(self) -> None:
        """Forget the pool, so that what follows depends on the seed alone."""
        self.left = 0


class Classifier(nn.Module):
    """C(x): the logit of y = 1. It doesn't see s, so its answers depend on s through other columns alone.

    Of x it sees the numbers where ``seen`` is 1; the others may be proxies of s (``trainers/tables/proxies.py``).
    """

    seen: Tensor

    def __init__(self, width: int, hidden: int = 64, dropout: float = 0.5) -> None:
        super().__init__()
        self.register_buffer("seen", torch.ones(width))
        self.linear = nn.Linear(width, 1)
        self.body = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return float32[n] logits of rows float32[n, width]."""
        x = x * self.seen
        logits: Tensor = (self.linear(x) + self.body(x))[:, 0].float()
        return logits


class Discriminator(nn.Module):
    """D(x, y, s): the logit of "real", log p_data - log p_G at the optimum: the log density ratio.

    It also reads what the classifier says of x, so that G must get right how the columns together tell of y: in a row
    of 30 columns a discriminator finds that last.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = shape.width + shape.condition + 1
        for _ in range(shape.depth):
            layers += [nn.Linear(width, shape.hidden), nn.LayerNorm(shape.hidden), nn.LeakyReLU(0.2, inplace=True)]
            layers += [PooledDropout(shape.dropout)] if shape.dropout else []
            width = shape.hidden
        self.body = nn.Sequential(*layers, nn.Linear(width, 1))

    def forward(self, x: Tensor, condition: Tensor, told: Tensor) -> Tensor:
        """Return float32[n] logits; ``told`` is float32[n], the classifier's logits of x."""
        told = told.clamp(-LARGEST_LOGIT, LARGEST_LOGIT)[:, None]
        logits: Tensor = self.body(torch.cat([x, condition, told], 1))[:, 0].float()
        return logits
