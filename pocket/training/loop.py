"""The one training loop: every step's randomness comes from its number, so a resumed run repeats an unbroken one."""

import csv
import hashlib
import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

Loss = Callable[[torch.Generator], Tensor]
Check = Callable[[nn.Module, int], None]


@dataclass(frozen=True)
class Schedule:
    """Steps, peak learning rate with linear warm-up and cosine decay to zero, EMA ceiling, weight decay.

    The last ``second`` steps are another such cycle at half the peak rate.
    """

    steps: int
    rate: float
    warmup: int = 200
    ema: float = 0.998
    decay: float = 1e-2
    save_seconds: float = 180.0
    check_every: int = 800
    second: int = 0

    def rate_at(self, step: int) -> float:
        """Learning rate of a step, 0-based."""
        first = self.steps - self.second
        if step >= first and self.second:
            return 0.5 * self._cycle(step - first, self.second)
        return self._cycle(step, first)

    def _cycle(self, step: int, steps: int) -> float:
        done = min(1.0, step / max(1, steps))
        return self.rate * min(1.0, (step + 1) / max(1, self.warmup)) * 0.5 * (1 + math.cos(math.pi * done))


def step_generator(name: str, step: int) -> torch.Generator:
    """The random stream of one training step; also seeds torch's global one (dropout, posterior samples)."""
    seed = int.from_bytes(hashlib.sha256(f"pocket-v1/train/{name}/{step}".encode()).digest()[:7])
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def update_ema(ema: nn.Module, model: nn.Module, ceiling: float, step: int) -> None:
    """Move the EMA's floating-point entries towards the model's; the decay grows from 0.1 up to ``ceiling``."""
    decay = min(ceiling, (1 + step) / (10 + step))
    for old, new in zip(ema.state_dict().values(), model.state_dict().values(), strict=True):
        if old.dtype.is_floating_point:
            old.lerp_(new, 1 - decay)
        else:
            old.copy_(new)


class Training:
    """A model, its EMA and optimiser, saved to ``folder/<name>.pt`` every few minutes and resumed from there."""

    def __init__(self, name: str, model: nn.Module, schedule: Schedule, folder: Path, log: Path) -> None:
        self.name, self.model, self.schedule = name, model, schedule
        self.path, self.log, self.step = folder / f"{name}.pt", log, 0
        self.ema = deepcopy(model).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=schedule.rate, weight_decay=schedule.decay)
        if self.path.exists():
            self._load()

    def _load(self) -> None:
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    def save(self) -> None:
        """Write the whole state under a temporary name, then rename."""
        state = {
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, self.path.with_suffix(".tmp"))
        self.path.with_suffix(".tmp").replace(self.path)

    def advance(self, loss: Loss) -> float:
        """One optimiser step; returns the loss. Raises FloatingPointError when it is not finite."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate_at(self.step)
        value = loss(step_generator(self.name, self.step))
        if not torch.isfinite(value):
            raise FloatingPointError(f"{self.name}: loss is {value.item()} at step {self.step}")
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        update_ema(self.ema, self.model, self.schedule.ema, self.step)
        return value.item()

    def run(self, loss: Loss, check: Check | None = None, until: int | None = None) -> nn.Module:
        """Train to the end of the schedule (or to step ``until``), logging every 50 steps; returns the EMA."""
        end, saved, started, first = until or self.schedule.steps, time.monotonic(), time.monotonic(), self.step
        recent: list[float] = []
        while self.step < end:
            recent.append(self.advance(loss))
            if self.step % 50 == 0 or self.step == end:
                pace = (time.monotonic() - started) / (self.step - first)
                self._report(sum(recent) / len(recent), pace)
                recent = []
            if check and (self.step % self.schedule.check_every == 0 or self.step == self.schedule.steps):
                check(self.ema, self.step)
            if time.monotonic() - saved > self.schedule.save_seconds or self.step == end:
                self.save()
                saved = time.monotonic()
        return self.ema

    def _report(self, loss: float, pace: float) -> None:
        left = pace * (self.schedule.steps - self.step) / 60
        print(
            f"{self.name} {self.step}/{self.schedule.steps} loss {loss:.4f} {pace:.2f} s/step {left:.0f} min left",
            flush=True,
        )
        append_row(self.log, {"step": self.step, "loss": round(loss, 5), "seconds_per_step": round(pace, 3)})


def append_row(path: Path, row: dict[str, object]) -> None:
    """Append a row to a CSV log, writing the header first when the file is new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, row.keys())
        if new:
            writer.writeheader()
        writer.writerow(row)
