"""Where a training stands, as one safetensors file, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from fairshards.catalogs.manifests.identity import canonical_json
from fairshards.catalogs.manifests.manifest import write_local

State = dict[str, Tensor]


@dataclass(frozen=True)
class EpochMetrics:
    """The validation figures at the end of an epoch (0: before the first); ``loss`` is the epoch's mean."""

    epoch: int
    loss: float | None
    worst_group: float
    balanced: float
    average: float
    groups: Mapping[str, float]


@dataclass
class Progress:
    """A stage's place: the epochs behind it and the weights of the best one so far."""

    history: list[EpochMetrics]
    best: State

    @property
    def epoch(self) -> int:
        """The last finished epoch; -1 before epoch 0 was measured."""
        return self.history[-1].epoch if self.history else -1


def save_checkpoint(
    path: Path, task: str, progress: Progress, model: nn.Module, optimiser: torch.optim.Optimizer, criterion: nn.Module
) -> None:
    """Write the stage's place, the model, Adam's moments and the criterion's buffers to ``path``."""
    best = {f"best.{name}": tensor for name, tensor in progress.best.items()}
    history = json.dumps([asdict(metrics) for metrics in progress.history])
    buffers = {f"criterion.{name}": tensor for name, tensor in criterion.state_dict().items()}
    _write(path, task, history, _state(model, optimiser) | best | buffers)


def load_checkpoint(
    path: Path, task: str, model: nn.Module, optimiser: torch.optim.Optimizer, criterion: nn.Module
) -> Progress | None:
    """Restore model, optimiser and criterion from ``path``; return the place, None where it has none of this task."""
    stored = _read(path, task)
    if stored is None:
        return None
    history, tensors = stored
    _restore(tensors, model, optimiser)
    criterion.load_state_dict(_under("criterion.", tensors))
    return Progress([EpochMetrics(**metrics) for metrics in history], _under("best.", tensors))


def save_steps(
    path: Path, task: str, losses: Sequence[float], model: nn.Module, optimiser: torch.optim.Optimizer
) -> None:
    """Write a training that counts steps, one loss each: these, the model and Adam's moments, to ``path``."""
    _write(path, task, json.dumps(list(losses)), _state(model, optimiser))


def load_steps(path: Path, task: str, model: nn.Module, optimiser: torch.optim.Optimizer) -> list[float]:
    """Restore model and optimiser from ``path`` and return the finished steps' losses; none without such a file."""
    stored = _read(path, task)
    if stored is None:
        return []
    losses, tensors = stored
    _restore(tensors, model, optimiser)
    return [float(loss) for loss in losses]


def save_parts(
    path: Path,
    task: str,
    history: Sequence[Any],
    parts: Mapping[str, tuple[nn.Module, torch.optim.Optimizer | None]],
    more: State,
    mode: int,
) -> None:
    """Write a training of several networks: each with its Adam's moments, where it has one, and further tensors.

    The file has the permissions ``mode``.
    """
    tensors = {f"more.{name}": tensor for name, tensor in more.items()}
    for part, (model, optimiser) in parts.items():
        tensors |= {f"{part}:{name}": tensor for name, tensor in _state(model, optimiser).items()}
    _write(path, task, json.dumps(list(history)), tensors, mode)


def load_parts(
    path: Path, task: str, parts: Mapping[str, tuple[nn.Module, torch.optim.Optimizer | None]]
) -> tuple[list[Any], State] | None:
    """Restore what ``save_parts`` wrote of networks and optimisers; return history and further tensors, or None."""
    stored = _read(path, task)
    if stored is None:
        return None
    history, tensors = stored
    for part, (model, optimiser) in parts.items():
        _restore(_under(f"{part}:", tensors), model, optimiser)
    return history, _under("more.", tensors)


def save_weights(path: Path, state: State, metadata: Mapping[str, str]) -> None:
    """Write weights as safetensors; the same weights and metadata give the same bytes.

    All metadata goes under one key, for safetensors writes several keys in an order that changes.
    """
    write_local(path, save(contiguous(state), metadata={"fairshards": canonical_json(dict(metadata))}))


def contiguous(state: Mapping[str, Tensor]) -> State:
    """Return a copy of the tensors on the CPU that shares no memory with the model."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in state.items()}


def _state(model: nn.Module, optimiser: torch.optim.Optimizer | None) -> State:
    """Return the model's tensors and Adam's moments, by prefixed names."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    if optimiser is None:
        return tensors
    for number, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"adam.{number}.{name}": tensor for name, tensor in moments.items()}
    return tensors


def _restore(tensors: Mapping[str, Tensor], model: nn.Module, optimiser: torch.optim.Optimizer | None) -> None:
    model.load_state_dict(_under("model.", tensors))
    if optimiser is None:
        return
    moments: dict[int, State] = {}
    for name, tensor in _under("adam.", tensors).items():
        number, moment = name.split(".")
        moments.setdefault(int(number), {})[moment] = tensor
    optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})


def _write(path: Path, task: str, history: str, tensors: State, mode: int = 0o666) -> None:
    write_local(path, save(contiguous(tensors), metadata={"task": task, "history": history}), mode)


def _read(path: Path, task: str) -> tuple[list[Any], State] | None:
    """Return the history and the tensors of a checkpoint; None where there is none of this task, or a torn one."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("task") != task:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (FileNotFoundError, SafetensorError):
        return None
    return json.loads(metadata["history"]), tensors


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> State:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
