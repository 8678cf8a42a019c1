"""A small diffusion model of points, or of pictures (docs/methods.md#gaussian-experiments).

Network of 0.08 M parameters, 1,000 steps with betas from 0.001 to 0.2, noise prediction, DDPM's ancestral sampler with
the variance beta. The product of all alphas is 1e-47 and underflows in float32, so every coefficient is computed in
float64 and cast last.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmarks.mode_interpolation.gaussian_sets import Points
from fairshards.trainers.core.seeding import part_seed

TIMES = 1000
WIDTH = 128
CHUNK = 2048
"""Points that are sampled at once; the noise depends on it."""


def sinusoids(times: Tensor, width: int) -> Tensor:
    """Return the embedding (n, width) of times (n,): sines and cosines of 10,000 to the power of 0 to 1."""
    half = width // 2
    angles = times.float()[:, None] * torch.exp(-math.log(10_000) * torch.arange(half) / (half - 1))
    return torch.cat([angles.sin(), angles.cos()], 1)


class Net(nn.Module):
    """Predicts the noise in points (n, d): one residual block, applied three times with the same weights."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.enter = nn.Linear(dimensions, WIDTH, bias=False)
        self.time = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.LeakyReLU())
        self.norm1, self.linear1 = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH, bias=False)
        self.of_time = nn.Linear(WIDTH, WIDTH)
        self.norm2, self.linear2 = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH, bias=False)
        self.leave = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, dimensions))

    def forward(self, points: Tensor, times: Tensor) -> Tensor:
        """Return the noise (n, d); ``times`` (n,) or (1,) counts from 0."""
        moved = self.of_time(self.time(sinusoids(times, WIDTH)))  # the same in all three rounds
        state: Tensor = self.enter(points)
        for _ in range(3):
            inner = self.linear1(nn.functional.leaky_relu(self.norm1(state), 0.02)) + moved
            state = state + self.linear2(nn.functional.leaky_relu(self.norm2(inner), 0.02))
        left: Tensor = self.leave(state)
        return left


@dataclass(frozen=True)
class Schedule:
    """What each step multiplies by; float32 tensors (steps,) of values computed in float64."""

    signal: Tensor
    noise: Tensor
    to_x0: Tensor
    from_noise: Tensor
    of_x0: Tensor
    of_point: Tensor
    spread: Tensor

    @classmethod
    def linear(cls, first: float = 0.001, last: float = 0.2, times: int = TIMES) -> Schedule:
        """Return the paper's schedule of points, or another one."""
        betas = np.linspace(first, last, times)
        kept = np.cumprod(1 - betas)
        before = np.append(1.0, kept[:-1])
        values = (
            np.sqrt(kept),
            np.sqrt(1 - kept),
            np.sqrt(1 / kept),
            np.sqrt(1 / kept - 1),
            betas * np.sqrt(before) / (1 - kept),
            (1 - before) * np.sqrt(1 - betas) / (1 - kept),
            np.where(np.arange(times) > 0, np.sqrt(betas), 0.0),
        )
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
    data: npt.NDArray[Any],
    settings: Training,
    file: Path | None = None,
    progress: Callable[[int], None] | None = None,
    save_every: int = 1000,
    model: Callable[[], nn.Module] | None = None,
    schedule: Schedule | None = None,
) -> nn.Module:
    """Return a model of ``data`` (n, d), or (n, c, h, w) where ``model`` makes one of pictures.

    With ``file``, it is kept there and a killed training goes on from there. Pictures are trained in bfloat16.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(part_seed(settings.seed, "init"))
        net = model() if model else Net(data.shape[1])
    optimiser = torch.optim.Adam(net.parameters(), lr=settings.lr)
    done = _resume(net, optimiser, file, settings)
    points, schedule = torch.tensor(data, dtype=torch.float32), schedule or Schedule.linear()
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
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    points: Tensor,
    schedule: Schedule,
    batch: int,
    draws: torch.Generator,
) -> None:
    clean = points[torch.randint(len(points), (batch,), generator=draws)]
    times = torch.randint(len(schedule.signal), (batch,), generator=draws)
    noise = torch.randn(clean.shape, generator=draws)
    each = times.view(-1, *[1] * (clean.dim() - 1))
    noisy = schedule.signal[each] * clean + schedule.noise[each] * noise
    with half_precision(clean):
        made = net(noisy, times)
    loss = nn.functional.mse_loss(made.float(), noise)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


def half_precision(batch: Tensor, needed: bool = False) -> torch.autocast:
    """Return bfloat16 for pictures, which are what takes time, unless float32 is ``needed``; never for points."""
    return torch.autocast(batch.device.type, torch.bfloat16, enabled=batch.dim() == 4 and not needed)


def _save(net: nn.Module, optimiser: torch.optim.Optimizer, file: Path | None, settings: Training, done: int) -> None:
    if file is None:
        return
    names = [name for name, _ in net.named_parameters()]
    moments = {
        f"{key}/{name}": value
        for name, state in zip(names, optimiser.state.values(), strict=True)
        for key, value in state.items()
    }
    said = {"settings": json.dumps(asdict(settings)), "done": str(done)}
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".tmp")
    save_file({**net.state_dict(), **moments}, temporary, said)
    temporary.replace(file)


def _resume(net: nn.Module, optimiser: torch.optim.Optimizer, file: Path | None, settings: Training) -> int:
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


Window = int | tuple[int, int]
"""The last k steps, or those whose times lie in [low, high); times count down to 0."""


@dataclass(frozen=True)
class Samples:
    """Samples (n, ...), and the population variance of their trajectories by window, the mean over coordinates: (n,).

    ``x0`` holds that of the predicted x0, ``x_t`` the control's: of the noisy points themselves. ``local`` holds the
    first one's highest place, where that was asked for.
    """

    points: npt.NDArray[Any]
    x0: dict[Any, Points]
    x_t: dict[Any, Points]
    local: dict[Any, Points] = field(default_factory=dict)


class Running:
    """Population variance of what is added (Welford), in float64 for points and float32 for pictures."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.squares = torch.zeros(())

    def add(self, values: Tensor) -> None:
        """Add one step's values (n, ...)."""
        values = values if values.dim() == 4 else values.double()
        self.count += 1
        delta = values - self.mean
        self.mean = self.mean + delta / self.count
        self.squares = self.squares + delta * (values - self.mean)

    def variance(self) -> Tensor:
        """Return the variance (n, ...)."""
        return self.squares / self.count


@torch.inference_mode()
def sample(
    net: nn.Module,
    count: int,
    shape: int | tuple[int, ...],
    windows: Sequence[Window],
    seed: int,
    schedule: Schedule | None = None,
    local: Callable[[Tensor], Tensor] | None = None,
    chunk: int = CHUNK,
    progress: Callable[[int], None] | None = None,
) -> Samples:
    """Return ``count`` samples of a shape, and their trajectories' variances over windows of reverse steps.

    ``local`` turns a variance map (n, c, h, w) into one number a sample (n,).

    Raises:
        FloatingPointError: a sample isn't finite.
    """
    parts = []
    for start in range(0, count, chunk):
        wanted = (min(chunk, count - start), *(shape if isinstance(shape, tuple) else (shape,)))
        draws = torch.Generator().manual_seed(part_seed(seed, "noise", start))
        parts.append(_chunk(net, schedule or Schedule.linear(), wanted, windows, local, draws))
        if progress:
            progress(start + wanted[0])
    points = torch.cat([part.points for part in parts]).double().numpy()
    bad = ~np.isfinite(points).reshape(count, -1).all(1)
    if bad.any():
        raise FloatingPointError(f"{bad.sum()} of {count} samples aren't finite")
    followed = [
        {window: torch.cat([getattr(part, name)[window] for part in parts]).double().numpy() for window in windows}
        for name in (("x0", "x_t", "local") if local else ("x0", "x_t"))
    ]
    return Samples(points, *followed)


@dataclass(frozen=True)
class _Chunk:
    points: Tensor
    x0: dict[Window, Tensor]
    x_t: dict[Window, Tensor]
    local: dict[Window, Tensor]


def _chunk(
    net: nn.Module,
    schedule: Schedule,
    shape: tuple[int, ...],
    windows: Sequence[Window],
    local: Callable[[Tensor], Tensor] | None,
    draws: torch.Generator,
) -> _Chunk:
    """Return samples and variances by window; pictures in float32 inside the windows that end with the last step."""
    point = torch.randn(shape, generator=draws)
    bounds = {window: window if isinstance(window, tuple) else (0, window) for window in windows}
    predicted, noisy = ({window: Running() for window in windows} for _ in range(2))
    for time in reversed(range(len(schedule.signal))):
        inside = [window for window, (low, high) in bounds.items() if low <= time < high]
        with half_precision(point, needed=any(bounds[window][0] == 0 for window in inside)):
            noise = net(point, torch.tensor([time])).float()
        x0 = schedule.to_x0[time] * point - schedule.from_noise[time] * noise
        for window in inside:
            predicted[window].add(x0)
            noisy[window].add(point)
        point = schedule.of_x0[time] * x0 + schedule.of_point[time] * point
        if time:
            point = point + schedule.spread[time] * torch.randn(point.shape, generator=draws)
    maps = {window: running.variance() for window, running in predicted.items()}
    return _Chunk(
        point,
        {window: found.flatten(1).mean(1) for window, found in maps.items()},
        {window: running.variance().flatten(1).mean(1) for window, running in noisy.items()},
        {window: local(found) for window, found in maps.items()} if local else {},
    )
