"""Does trajectory variance tell repeated and misplaced shapes? SimpleShapes (docs/methods.md#simpleshapes).

    python -m benchmarks.mode_interpolation.shapes --samples 2048 --threads 1

5,000 pictures of 64x64, each 4x4 block of pixels a place with 16 channels; a U-Net of 1.2 M parameters predicts the
noise of 250 steps (the paper has 1,000), betas from 0.0004 to 0.08; DDPM's ancestral sampler. Metric: variance of the
predicted x0 over the last k steps, and over steps further back (the paper's figures for pictures use some); its highest
place, averaged over 3x3 blocks, beside its mean. A picture is off support when a shape is repeated or in another's
column; what is no shape at all is counted apart and left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, pixel_shuffle, pixel_unshuffle, silu

from benchmarks.csv_rows import plain, write_rows
from benchmarks.mode_interpolation import simple_shapes
from benchmarks.mode_interpolation.hallucination import separation
from benchmarks.mode_interpolation.toy_diffusion import Samples, Schedule, Training, Window, sample, sinusoids, train
from fairshards.pipeline.run.progress import Reporter
from fairshards.trainers.core.seeding import part_seed

BLOCK = 4
CHANNELS, PLACES = BLOCK * BLOCK, simple_shapes.SIDE // BLOCK
TIMES = 250
WINDOWS: tuple[Window, ...] = (
    3,
    5,
    10,
    15,
    25,
    50,
    (10, 35),
    (25, 50),
    (50, 75),
    (75, 100),
    (100, 125),
    (125, 150),
    (150, 175),
    (175, 200),
)
POINTS = 5000
WIDTH = 64
KEY = ("steps", "batch", "lr", "anneal", "seed", "points", "samples", "metric", "window")


class Residual(nn.Module):
    """Two 3x3 convolutions with group norms; the time moves what is between them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, inputs), nn.GroupNorm(8, outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.time = nn.Linear(WIDTH, outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, state: Tensor, time: Tensor) -> Tensor:
        """Return (n, outputs, h, w)."""
        inner = self.conv1(silu(self.norm1(state))) + self.time(time)[:, :, None, None]
        moved: Tensor = self.skip(state) + self.conv2(silu(self.norm2(inner)))
        return moved


class UNet(nn.Module):
    """Predicts the noise in pictures (n, 16, 16, 16): two resolutions, attention at the lower one."""

    def __init__(self) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU())
        self.enter = nn.Conv2d(CHANNELS, WIDTH, 3, padding=1)
        self.down = nn.ModuleList(Residual(WIDTH, WIDTH) for _ in range(2))
        self.shrink = nn.Conv2d(WIDTH, 2 * WIDTH, 3, stride=2, padding=1)
        self.middle = nn.ModuleList(Residual(2 * WIDTH, 2 * WIDTH) for _ in range(2))
        self.attend = nn.MultiheadAttention(2 * WIDTH, 4, batch_first=True)
        self.norm = nn.GroupNorm(8, 2 * WIDTH)
        self.places = nn.Parameter(0.02 * torch.randn(1, (PLACES // 2) ** 2, 2 * WIDTH))
        self.widen = nn.Conv2d(2 * WIDTH, WIDTH, 3, padding=1)
        self.up = nn.ModuleList((Residual(2 * WIDTH, WIDTH), Residual(WIDTH, WIDTH)))
        self.leave = nn.Sequential(nn.GroupNorm(8, WIDTH), nn.SiLU(), nn.Conv2d(WIDTH, CHANNELS, 3, padding=1))

    def forward(self, pictures: Tensor, times: Tensor) -> Tensor:
        """Return the noise (n, 16, 16, 16); ``times`` (n,) or (1,) counts from 0."""
        time = self.time(sinusoids(times, WIDTH)).expand(len(pictures), -1)
        state = self.enter(pictures)
        for block in self.down:
            state = block(state, time)
        kept, state = state, self.shrink(state)
        state = self.middle[0](state, time)
        flat = self.norm(state).flatten(2).mT + self.places
        state = state + self.attend(flat, flat, flat, need_weights=False)[0].mT.reshape(state.shape)
        state = self.widen(interpolate(self.middle[1](state, time), scale_factor=2.0))
        state = torch.cat([state, kept], 1)
        for block in self.up:
            state = block(state, time)
        left: Tensor = self.leave(state)
        return left


def packed(pictures: simple_shapes.Picture) -> np.ndarray:
    """Return pictures (n, 64, 64) of 0 and 1 as (n, 16, 16, 16) in [-1, 1]."""
    found: np.ndarray = pixel_unshuffle(torch.from_numpy(pictures)[:, None].float() * 2 - 1, BLOCK).numpy()
    return found


def unpacked(values: np.ndarray) -> np.ndarray:
    """Return (n, 64, 64) in [0, 1] of what the model draws."""
    found: np.ndarray = ((pixel_shuffle(torch.from_numpy(values), BLOCK)[:, 0] + 1) / 2).clamp(0, 1).numpy()
    return found


def highest(variance: Tensor) -> Tensor:
    """Return the highest place of a variance map (n, 16, 16, 16): the mean over channels, averaged over 3x3 blocks."""
    return avg_pool2d(variance.mean(1, keepdim=True), 3, 1).flatten(1).amax(1)


def schedule() -> Schedule:
    """Return the usual schedule of pictures, of 0.0001 to 0.02 over 1,000 steps, in a quarter of the steps."""
    return Schedule.linear(0.0004, 0.08, TIMES)


def drawn(training: Training, samples: int, work: Path, report: Reporter) -> Samples:
    """Return samples of a model that is trained for one seed."""
    file = work / f"shapes-{'-'.join(str(value) for value in asdict(training).values())}.safetensors"
    pictures = packed(simple_shapes.draw(POINTS, part_seed(training.seed, "data")))
    state = [0]
    with report.watch(f"shapes, seed {training.seed}: training", training.steps, lambda: state[0]):
        net = train(pictures, training, file, lambda done: state.__setitem__(0, done), 200, UNet, schedule())
    state[0] = 0
    with report.watch(f"shapes, seed {training.seed}: drawing", samples, lambda: state[0]):
        return sample(
            net,
            samples,
            (CHANNELS, PLACES, PLACES),
            WINDOWS,
            training.seed,
            schedule(),
            highest,
            256,
            lambda done: state.__setitem__(0, done),
        )


def rows_of(training: Training, made: Samples) -> Iterator[dict[str, Any]]:
    """Yield a row for each metric and window; what is no shape at all is in none of them."""
    seen = [simple_shapes.look(picture) for picture in unpacked(made.points)]
    shaped = np.array([not (one.malformed or one.empty) for one in seen])
    wrong = np.array([one.hallucinated for one in seen])
    said = {
        **asdict(training),
        "points": POINTS,
        "samples": len(seen),
        "repeated": sum(one.repeated for one in seen),
        "misplaced": sum(one.misplaced for one in seen),
        "malformed": sum(one.malformed for one in seen),
        "empty": sum(one.empty for one in seen),
    }
    for metric, found in (("x0", made.x0), ("x0 highest", made.local), ("x_t", made.x_t)):
        for window, score in found.items():
            name = f"{window[0]}-{window[1]}" if isinstance(window, tuple) else str(window)
            found_of = asdict(separation(score[shaped], wrong[shaped]))
            del found_of["samples"]
            yield {**said, "metric": metric, "window": name, **found_of}


def by_count(
    seen: Sequence[simple_shapes.Seen], scores: Mapping[str, npt.NDArray[np.float64]], seed: int
) -> Iterator[dict[str, Any]]:
    """Yield how scores, and the number of shapes itself, tell what is off support: of all pictures, and of those with
    equally many shapes.
    """
    shaped = np.array([not (one.malformed or one.empty) for one in seen])
    wrong, shapes = np.array([one.hallucinated for one in seen]), np.array([one.shapes for one in seen])
    for number in (0, 2, 3):
        mine = shaped & (shapes == number) if number else shaped
        for name, score in {**scores, "number of shapes": shapes.astype(float)}.items():
            found = separation(score[mine], wrong[mine])
            yield {"seed": seed, "shapes": number or "any", "score": name, **asdict(found)}


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, nargs="+", default=[0])
    options.add_argument("--steps", type=int, default=10_000)
    options.add_argument("--batch", type=int, default=64)
    options.add_argument("--lr", type=float, default=5e-4)
    options.add_argument("--samples", type=int, default=2048)
    options.add_argument("--threads", type=int, help="of torch; which moves results a little")
    options.add_argument("--work", type=Path, default=Path("runs/mode-interpolation"), help="models, to go on from")
    options.add_argument("--out", type=Path, default=Path("docs/results/mode-interpolation-shapes.csv"))
    return options


def main() -> None:
    """Train, sample, look, measure; add the rows to the CSV and print some."""
    arguments, report = parser().parse_args(), Reporter()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    for seed in arguments.seeds:
        training = Training(arguments.steps, arguments.batch, arguments.lr, True, seed)
        made = drawn(training, arguments.samples, arguments.work, report)
        pictures = (255 * unpacked(made.points)).astype(np.uint8)
        scores = {
            f"{name} {window}": values
            for name, found in (("x0", made.x0), ("highest", made.local))
            for window, values in found.items()
        }
        np.savez_compressed(arguments.work / f"shapes-{seed}.npz", pictures=pictures, **scores)
        rows = list(rows_of(training, made))
        write_rows(arguments.out, rows, KEY)
        seen = [simple_shapes.look(picture) for picture in unpacked(made.points)]
        counted = by_count(seen, {"x0, last 10": made.x0[10], "x0, last 25": made.x0[25]}, seed)
        write_rows(arguments.out.with_stem(f"{arguments.out.stem}-counted"), list(counted), ["seed", "shapes", "score"])
        print({name: rows[0][name] for name in ("samples", "repeated", "misplaced", "malformed", "empty")})
        for row in rows:
            print(
                f"seed {seed}, {row['metric']}, window {row['window']}: {row['positives']}; AUROC "
                f"{plain(row['auroc'])}, removed {plain(row['removed'])}",
                flush=True,
            )


if __name__ == "__main__":
    main()
