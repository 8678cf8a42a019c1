"""A trained Bt-GAN as a generator of rows: one safetensors file, and ``sample`` in the style of CTGAN.

Bt-GAN (JAIR 79, 2024) has no public code: this is a reconstruction (docs/methods.md#bt-gan).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from fairshards.catalogs.cohorts.schema import CohortError
from fairshards.catalogs.manifests.identity import canonical_json, digest
from fairshards.catalogs.manifests.manifest import OWNER_ONLY, write_local
from fairshards.generators.tables.encoding import TableEncoding
from fairshards.generators.tables.networks import Classifier, Discriminator, Generator, Shape, one_hot
from fairshards.generators.tables.rejection import Rejection
from fairshards.generators.tables.row_noise import normal, uniform

FORMAT = "bt-gan/1"
BATCH = 4096
REJECTION_TURNS = 30
_PARTS = ("generator", "classifier", "discriminator")


@dataclass(frozen=True)
class Drawn:
    """Generated rows: the table, and each row's log density ratio (float32[n]; high: like real ones)."""

    rows: pd.DataFrame
    ratios: NDArray[np.float32]


@dataclass
class BtGan:
    """A trained Bt-GAN.

    Attributes:
        encoding: How rows are encoded, with the schema.
        shape: The networks'.
        generator, classifier, discriminator: The networks, in evaluation mode.
        rejection: Discriminator rejection sampling, or None.
        joint: float64[classes, groups], the shares of (y, s) that the constraint asks for; sums to 1.
        settings: What it was trained with.
        types: Of the table that it was trained on, where its rows are to come back so
            (``trainers/tables/frame_types.py``).
    """

    encoding: TableEncoding
    shape: Shape
    generator: Generator
    classifier: Classifier
    discriminator: Discriminator
    rejection: Rejection | None
    joint: NDArray[np.float64]
    settings: Mapping[str, Any]
    types: Mapping[str, Any] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.generator.parameters()).device

    @property
    def groups(self) -> list[tuple[int, int]]:
        """The (y, s) pairs that training had, class-major."""
        return [(int(y), int(s)) for y, s in zip(*np.nonzero(self.joint), strict=True)]

    @torch.inference_mode()
    def draw(self, y: NDArray[np.int64], s: NDArray[np.int64], seeds: NDArray[np.uint64]) -> Drawn:
        """Return one row for each (y, s, seed), each independent of the others: int64[n], int64[n], uint64[n]."""
        rows: list[NDArray[np.float32]] = []
        ratios: list[NDArray[np.float32]] = []
        for start in range(0, len(seeds), BATCH):
            part = slice(start, start + BATCH)
            condition = one_hot(self._to(torch.from_numpy(y[part])), self._to(torch.from_numpy(s[part])), self.shape)
            x = self._rows(seeds[part], condition)
            rows.append(x.cpu().numpy())
            ratios.append(self.discriminator(x, condition, self.classifier(x)).cpu().numpy())
        if not rows:
            nothing = np.zeros((0, self.shape.width), np.float32)
            return Drawn(self.encoding.decode(nothing, y, s), np.zeros(0, np.float32))
        return Drawn(self.encoding.decode(np.concatenate(rows), y, s), np.concatenate(ratios))

    @torch.inference_mode()
    def ratios(self, rows: pd.DataFrame, generator: np.random.Generator) -> NDArray[np.float32]:
        """Return the log density ratios of given rows, float32[n]; scores are drawn inside the rows' intervals."""
        encoded = self.encoding.encode(rows)
        x = self._to(torch.from_numpy(self.encoding.scores(encoded, generator)))
        condition = one_hot(self._to(torch.from_numpy(encoded.y)), self._to(torch.from_numpy(encoded.s)), self.shape)
        found: NDArray[np.float32] = self.discriminator(x, condition, self.classifier(x)).cpu().numpy()
        return found

    def sample(self, count: int, seed: int = 0, joint: NDArray[np.float64] | None = None) -> pd.DataFrame:
        """Return ``count`` rows in random order, with rejection sampling.

        Every (y, s) has its share of ``joint`` (default: the trained one) exactly, to the row; small sub-groups would
        otherwise come and go by chance.
        """
        generator = np.random.default_rng(seed)
        shares = apportioned((self.joint if joint is None else joint).ravel(), count)
        pair = generator.permutation(np.repeat(np.arange(len(shares)), shares))
        y, s = pair // self.shape.groups, pair % self.shape.groups
        if self.rejection is None:
            return self.draw(y, s, generator.integers(0, 2**64, count, np.uint64)).rows
        return self._accepted(y, s, generator)

    def _accepted(self, y: NDArray[np.int64], s: NDArray[np.int64], generator: np.random.Generator) -> pd.DataFrame:
        """Return a row that rejection sampling accepts for each (y, s), in their order."""
        assert self.rejection is not None
        found: list[pd.DataFrame] = []
        left = np.arange(len(y))
        for turn in range(REJECTION_TURNS):
            drawn = self.draw(y[left], s[left], generator.integers(0, 2**64, len(left), np.uint64))
            keep = generator.random(len(left)) < self.rejection.acceptance(drawn.ratios)
            keep |= turn == REJECTION_TURNS - 1  # a group that the discriminator always tells still gets its rows
            found.append(drawn.rows[keep].set_axis(left[keep]))
            left = left[~keep]
            if not len(left):
                break
        return pd.concat(found).sort_index() if found else self.draw(y, s, np.zeros(0, np.uint64)).rows

    def _rows(self, seeds: NDArray[np.uint64], condition: Tensor) -> Tensor:
        states, blocks = self.generator.uniforms
        z = self._to(torch.from_numpy(normal(seeds, 0, self.shape.noise)))
        u = torch.from_numpy(uniform(seeds, self.shape.noise, blocks * states))
        u = u.reshape(len(seeds), states, blocks).transpose(0, 1)  # also where there is no block
        x: Tensor = self.generator(z, condition, self._to(u), 1.0)
        return x

    def _to(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device)

    def save(self, path: Path) -> str:
        """Write the model and return its fingerprint, 64 hex digits; the same model gives the same bytes."""
        tensors = {
            f"{part}.{name}": tensor.detach().cpu().contiguous()
            for part in _PARTS
            for name, tensor in getattr(self, part).state_dict().items()
        }
        said = {
            "format": FORMAT,
            "encoding": self.encoding.to_json(),
            "shape": self.shape.to_json(),
            "rejection": self.rejection.to_json() if self.rejection else None,
            "joint": self.joint.tolist(),
            "settings": dict(self.settings),
            **({"types": dict(self.types)} if self.types else {}),
        }
        data = save(tensors, metadata={"fairshards": canonical_json(said)})
        write_local(path, data, OWNER_ONLY)
        return fingerprint(data)

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> BtGan:
        """Return the model of a file that ``save`` wrote.

        Raises:
            CohortError: there is none, or it is another kind of file.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise CohortError(f"no Bt-GAN at {path}: {error}") from error
        return cls.load_bytes(data, device)

    @classmethod
    def load_bytes(cls, data: bytes, device: str = "cpu") -> BtGan:
        """Return the model of a file's bytes.

        Raises:
            CohortError: it is another kind of file.
        """
        try:
            said = json.loads(_metadata(data).get("fairshards", "{}"))
            tensors = load(data)
            known = said.get("format")
        except (SafetensorError, ValueError, AttributeError, TypeError) as error:
            raise CohortError(f"this is no Bt-GAN: {error}") from error
        if known != FORMAT:
            raise CohortError(f"this is no Bt-GAN of format {FORMAT!r}, but {known!r}; train it again")
        try:
            return cls._built(said, tensors, device)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise CohortError(f"this is no Bt-GAN that is whole ({type(error).__name__}): train it again") from error

    @classmethod
    def _built(cls, said: Mapping[str, Any], tensors: Mapping[str, Tensor], device: str) -> BtGan:
        shape = Shape.from_json(said["shape"])
        encoding = TableEncoding.from_json(said["encoding"])
        networks = networks_of(shape)
        for part, network in zip(_PARTS, networks, strict=True):
            prefix = f"{part}."
            network.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
            network.eval().to(device)
        rejection = Rejection(**said["rejection"]) if said["rejection"] else None
        joint, types = np.array(said["joint"]), said.get("types", {})
        return cls(encoding, shape, *networks, rejection, joint, said["settings"], types)


def _metadata(data: bytes) -> dict[str, str]:
    """Return the metadata of a safetensors file: its header's length stands in the first 8 bytes."""
    size = int.from_bytes(data[:8], "little")
    return dict(json.loads(data[8 : 8 + size]).get("__metadata__") or {})


def networks_of(shape: Shape) -> tuple[Generator, Classifier, Discriminator]:
    """Return new networks of a shape."""
    return Generator(shape), Classifier(shape.width), Discriminator(shape)


def fingerprint(data: bytes) -> str:
    """Return what stands for a model's file: 64 hex digits over its bytes."""
    return digest(["bt-gan", hashlib.sha256(data).hexdigest()])


def apportioned(shares: NDArray[np.float64], total: int) -> NDArray[np.int64]:
    """Return whole numbers int64[k] that sum to ``total``, in proportion to float64[k], by largest remainders."""
    exact = shares / shares.sum() * total
    counts: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: total - counts.sum()]] += 1
    return counts


def row_seeds(seeds: Sequence[int]) -> NDArray[np.uint64]:
    """Return the noise seeds of planned rows as ``draw`` takes them."""
    return np.array(seeds, dtype=np.uint64)
