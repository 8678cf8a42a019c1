"""A small diffusion model of points, as the paper on mode interpolation has it (methods 3.2), written anew.

Network of 0.08 M parameters, 1,000 steps with betas from 0.001 to 0.2, noise prediction, DDPM's ancestral sampler with
the variance beta. The product of all alphas is 1e-47 and underflows in float32, so every coefficient is computed in
float64 and cast last.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmarks.gaussian_sets import Points
from trainers.seeding import part_seed

TIMES = 1000
WIDTH = 128
CHUNK = 2048
"""Points that are sampled at once; the noise depends on it."""


class Net(nn.Module):
    """Predicts the noise in points (n, d): one residual block, applied three times with the same weights."""

    frequencies: Tensor

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.enter = nn.Linear(dimensions, WIDTH, bias=False)
        self.time = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.LeakyReLU())
        self.norm1, self.linear1 = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH, bias=False)
        self.of_time = nn.Linear(WIDTH, WIDTH)
        self.norm2, self.linear2 = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH, bias=False)
        self.leave = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, dimensions))
        half = WIDTH // 2
        rates = torch.exp(-math.log(10_000) * torch.arange(half) / (half - 1))
        self.register_buffer("frequencies", rates, persistent=False)

    def forward(self, points: Tensor, times: Tensor) -> Tensor:
        """Return the noise (n, d); ``times`` (n,) or (1,) counts from 0."""
        angles = times.float()[:, None] * self.frequencies
        moved = self.of_time(self.time(torch.cat([angles.sin(), angles.cos()], 1)))  # the same in all three rounds
        state: Tensor = self.enter(points)
        for _ in range(3):
            inner = self.linear1(nn.functional.leaky_relu(self.norm1(state), 0.02)) + moved
            state = state + self.linear2(nn.functional.leaky_relu(self.norm2(inner), 0.02))
        left: Tensor = self.leave(state)
        return left


@dataclass(frozen=True)
class Schedule:
    """What each step multiplies by; float32 tensors (1000,) of values computed in float64."""

    signal: Tensor
    noise: Tensor
    to_x0: Tensor
    from_noise: Tensor
    of_x0: Tensor
    of_point: Tensor
    spread: Tensor

    @classmethod
    def linear(cls, first: float = 0.001, last: float = 0.2) -> Schedule:
        """Return the paper's schedule."""
        betas = np.linspace(first, last, TIMES)
        kept = np.cumprod(1 - betas)
        before = np.append(1.0, kept[:-1])
        values = (
            np.sqrt(kept), np.sqrt(1 - kept), np.sqrt(1 / kept), np.sqrt(1 / kept - 1),
            betas * np.sqrt(before) / (1 - kept), (1 - before) * np.sqrt(1 - betas) / (1 - kept),
            np.where(np.arange(TIMES) > 0, np.sqrt(betas), 0.0),
        )  # fmt: skip
        return cls(*(torch.tensor(value, dtype=torch.float64).float() for value in values))


@dataclass(frozen=True)
class Training:
    """How a model is trained: Adam on mean squared error, batches drawn from the data with replacement.

    ``anneal`` lets the rate fall to 0 along a cosine; the paper keeps it.
    """

    steps: int = 5000
    batch: int = 512
    lr: float = 1e-3
    anneal: bool = False
    seed: int = 0


def train(
    data: Points, settings: Training, file: Path | None = None, progress: Callable[[int], None] | None = None,
    save_every: int = 1000,
) -> Net:
    """Return a model of ``data`` (n, d). With ``file``, it is kept there and a killed training goes on from there."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(part_seed(settings.seed, "init"))
        net = Net(data.shape[1])
    optimiser = torch.optim.Adam(net.parameters(), lr=settings.lr)
    done = _resume(net, optimiser, file, settings)
    points, schedule = torch.tensor(data, dtype=torch.float32), Schedule.linear()
    while done < settings.steps:
        draws = torch.Generator().manual_seed(part_seed(settings.seed, "steps", done))
        stop = min(settings.steps, done + save_every)
        for step in range(done, stop):
            if settings.anneal:
                optimiser.param_groups[0]["lr"] = settings.lr * (1 + math.cos(math.pi * step / settings.steps)) / 2
            _step(net, optimiser, points, schedule, settings.batch, draws)
        done = stop
        _save(net, optimiser, file, settings, done)
        if progress:
            progress(done)
    return net.eval()


def _step(
    net: Net, optimiser: torch.optim.Optimizer, points: Tensor, schedule: Schedule, batch: int, draws: torch.Generator
) -> None:
    clean = points[torch.randint(len(points), (batch,), generator=draws)]
    times = torch.randint(TIMES, (batch,), generator=draws)
    noise = torch.randn(clean.shape, generator=draws)
    noisy = schedule.signal[times, None] * clean + schedule.noise[times, None] * noise
    loss = nn.functional.mse_loss(net(noisy, times), noise)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


def _save(net: Net, optimiser: torch.optim.Optimizer, file: Path | None, settings: Training, done: int) -> None:
    if file is None:
        return
    names = [name for name, _ in net.named_parameters()]
    moments = {f"{key}/{name}": value for name, state in zip(names, optimiser.state.values(), strict=True)
               for key, value in state.items()}  # fmt: skip
    said = {"settings": json.dumps(asdict(settings)), "done": str(done)}
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".tmp")
    save_file({**net.state_dict(), **moments}, temporary, said)
    temporary.replace(file)


def _resume(net: Net, optimiser: torch.optim.Optimizer, file: Path | None, settings: Training) -> int:
    """Load what is in the file, if it is of this training, and return the steps that are done."""
    if file is None or not file.is_file():
        return 0
    with safe_open(file, framework="pt") as opened:
        said = opened.metadata()
    if said.get("settings") != json.dumps(asdict(settings)):
        raise ValueError(f"{file} is of another training: {said.get('settings')}; this one is {asdict(settings)}")
    found = load_file(file)
    net.load_state_dict({name: found[name] for name in net.state_dict()})
    for name, parameter in net.named_parameters():
        optimiser.state[parameter] = {
            key.partition("/")[0]: value for key, value in found.items() if key.partition("/")[2] == name
        }
    return int(said["done"])


@dataclass(frozen=True)
class Samples:
    """Samples (n, d), and the population variance of their last k steps by k, the mean over coordinates: (n,).

    ``x0`` holds that of the predicted x0, ``x_t`` the control's: of the noisy points themselves.
    """

    points: Points
    x0: dict[int, Points]
    x_t: dict[int, Points]


@torch.inference_mode()
def sample(net: Net, count: int, dimensions: int, windows: tuple[int, ...], seed: int) -> Samples:
    """Return ``count`` samples and their trajectories' variances over the last k reverse steps, for k of ``windows``.

    Raises:
        FloatingPointError: a sample isn't finite.
    """
    schedule, kept = Schedule.linear(), max(windows)
    parts = [_chunk(net, schedule, min(CHUNK, count - start), dimensions, kept, part_seed(seed, "noise", start))
             for start in range(0, count, CHUNK)]  # fmt: skip
    points = torch.cat([part[0] for part in parts]).double().numpy()
    if not np.isfinite(points).all():
        raise FloatingPointError(f"{(~np.isfinite(points)).any(1).sum()} of {count} samples aren't finite")
    followed = [
        {k: np.concatenate([variance(part[which], k) for part in parts]) for k in windows} for which in (1, 2)
    ]
    return Samples(points, *followed)


def variance(trajectory: Tensor, window: int) -> Points:
    """Return the population variance of a trajectory (steps, n, d) over its last ``window`` steps (methods 3.1)."""
    last = trajectory[-window:].double()
    found: Points = last.var(0, correction=0).mean(-1).numpy()
    return found


def _chunk(
    net: Net, schedule: Schedule, count: int, dimensions: int, kept: int, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return samples, and the last ``kept`` predicted x0 and the points at which they were predicted."""
    draws = torch.Generator().manual_seed(seed)
    point = torch.randn((count, dimensions), generator=draws)
    predicted = torch.empty((kept, count, dimensions))
    noisy = torch.empty_like(predicted)
    for time in reversed(range(TIMES)):
        noise = net(point, torch.tensor([time]))
        x0 = schedule.to_x0[time] * point - schedule.from_noise[time] * noise
        if time < kept:
            predicted[kept - 1 - time], noisy[kept - 1 - time] = x0, point
        point = schedule.of_x0[time] * x0 + schedule.of_point[time] * point
        if time:
            point = point + schedule.spread[time] * torch.randn(point.shape, generator=draws)
    return point, predicted, noisy
