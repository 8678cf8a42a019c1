"""Images a second of the pipeline's generate stage against a bare loop of the same diffusers calls.

    python -m benchmarks.speed.generation [--model FOLDER] [--images 128] [--steps 20] [--batch 32] [--rounds 5]

Three sides take turns: the bare loop, ``TextToImage.generate`` (which also follows the trajectory variance),
and the whole stage through Beam (shard tasks, tar and manifest committed). Same model, prompts, noise, steps,
batch size and PNG encoding; the pictures' bytes are compared. The table gives medians, in wall time and in CPU
time (which other work on the machine hardly moves). Goal: ratio >= 0.95 for the pipeline in wall time, and the
same bytes from all three; exits 1 when it isn't met.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fairshards.generators.diffusion.requests import ImageRequest
from fairshards.generators.diffusion.text_to_image import TextToImage
from fairshards.generators.images import COMPRESS_LEVEL
from fairshards.pipeline.run.progress import Reporter

GOAL = 0.95
POCKET_PROMPTS = ("a landbird on land", "a landbird on water", "a waterbird on land", "a waterbird on water")


Side = Callable[[], list[bytes] | list[str]]
"""One way of making the pictures: returns their PNGs, or the SHA-256 of each."""


@dataclass(frozen=True)
class Timing:
    """Seconds of one side, a round each."""

    wall: list[float]
    cpu: list[float]


def interleave(sides: Mapping[str, Side], rounds: int, report: Reporter) -> dict[str, Timing]:
    """Run every side once to warm up, then all of them in turn, ``rounds`` times, and return their timings."""
    timings = {name: Timing([], []) for name in sides}
    for number in range(rounds + 1):
        names = list(sides)[:: 1 if number % 2 else -1]
        for name in names:
            wall, cpu = time.perf_counter(), time.process_time()
            sides[name]()
            if number:
                timings[name].wall.append(time.perf_counter() - wall)
                timings[name].cpu.append(time.process_time() - cpu)
        report.say(f"round {number} of {rounds} is done" if number else f"warmed up: {', '.join(names)}")
    return timings


def requests(count: int, steps: int, size: int, window: int = 0) -> list[ImageRequest]:
    """Return ``count`` requests of square pictures, ``size`` pixels a side."""
    return [
        ImageRequest(f"{index:032x}", index, POCKET_PROMPTS[index % 4], "", 3.0, steps, size, size, window=window)
        for index in range(count)
    ]


def ours(model: TextToImage, asked: list[ImageRequest], batch: int) -> list[bytes]:
    """Make the pictures as the pipeline's generate stage does."""
    return [result.png or b"" for result in model.generate(asked, batch)]


def bare(model: TextToImage, asked: list[ImageRequest], batch: int) -> list[bytes]:
    """Make the same pictures as a script would: call the pipeline, save each picture."""
    import torch

    pngs = []
    for start in range(0, len(asked), batch):
        part = asked[start : start + batch]
        with torch.inference_mode():
            images = model.pipeline(
                [request.prompt for request in part],
                num_inference_steps=part[0].steps,
                guidance_scale=part[0].guidance_scale,
                eta=part[0].eta,
                height=part[0].height,
                width=part[0].width,
                generator=[torch.Generator("cpu").manual_seed(request.noise_seed) for request in part],
            ).images
        for image in images:
            buffer = io.BytesIO()
            image.save(buffer, format="PNG", compress_level=COMPRESS_LEVEL)
            pngs.append(buffer.getvalue())
    return pngs


def load(arguments: argparse.Namespace) -> tuple[TextToImage, int]:
    """Return the model and the size of its pictures in pixels."""
    from fairshards.pocket import checkpoint_path

    model = TextToImage.load(arguments.model or checkpoint_path("pocket-diffusion"))
    factor = getattr(model.pipeline, "vae_scale_factor", 1)
    return model, int(model.pipeline.unet.config.sample_size) * factor


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return the options that the benchmarks of generation share."""
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--model", help="a folder; default: pocket-diffusion")
    options.add_argument("--images", type=int, default=128)
    options.add_argument("--steps", type=int, default=20)
    options.add_argument("--batch", type=int, default=32)
    options.add_argument("--rounds", type=int, default=5)
    return options


def main() -> None:
    """Measure and print; exit 1 when the goal isn't met."""
    arguments, report = parser(__doc__).parse_args(), Reporter()
    model, size = load(arguments)
    sides, count = sides_of(model, size, arguments)
    report.say(f"comparing the bytes of {count} pictures")
    equal = same_bytes(sides)
    timings = interleave(sides, arguments.rounds, report)
    print(
        f"{count} pictures of {size}x{size}, {arguments.steps} steps, batch {arguments.batch}, "
        f"{model.dtype} on {model.device}, {arguments.rounds} rounds; same bytes: {equal}"
    )
    print("\n".join(table(timings, count)))
    print(f"ratios: medians over rounds against the bare loop; goal for the pipeline: {GOAL} in wall time")
    sys.exit(missed(timings, equal))


def sides_of(model: TextToImage, size: int, arguments: argparse.Namespace) -> tuple[dict[str, Side], int]:
    """Return the three sides by name, and how many pictures each makes."""
    from benchmarks.speed.beam_side import BeamSide

    tasks = -(-arguments.images // arguments.batch)
    side = BeamSide(model, tasks, arguments.steps, size, arguments.batch)
    asked = side.requests
    return {
        "bare loop": lambda: bare(model, asked, arguments.batch),
        "TextToImage": lambda: ours(model, asked, arguments.batch),
        "pipeline": side,
    }, len(asked)


def same_bytes(sides: Mapping[str, Side]) -> bool:
    """Return whether all sides make the same PNGs."""
    made = [
        [hashlib.sha256(png).hexdigest() if isinstance(png, bytes) else png for png in side()]
        for side in sides.values()
    ]
    return all(sums == made[0] for sums in made)


def table(timings: Mapping[str, Timing], count: int) -> list[str]:
    """Return the lines of the table, one a side."""
    lines = ["| side | images/s | s of CPU | ratio of wall time | ratio of CPU time |\n|---|---:|---:|---:|---:|"]
    base = timings["bare loop"]
    for name, timing in timings.items():
        rate, cpu = count / statistics.median(timing.wall), statistics.median(timing.cpu)
        wall_ratio, cpu_ratio = median_ratio(base.wall, timing.wall), median_ratio(base.cpu, timing.cpu)
        lines.append(f"| {name} | {rate:.2f} | {cpu:.2f} | {wall_ratio:.3f} | {cpu_ratio:.3f} |")
    return lines


def missed(timings: Mapping[str, Timing], equal: bool) -> str | None:
    """Return how the goal is missed; None when it is met."""
    ratio = median_ratio(timings["bare loop"].wall, timings["pipeline"].wall)
    if not equal:
        return "the sides' pictures differ"
    return f"the pipeline's ratio {ratio:.3f} misses the goal {GOAL}" if ratio < GOAL else None


def median_ratio(first: list[float], second: list[float]) -> float:
    """Return the median over rounds of first / second: what both sides met at about the same time."""
    return statistics.median(one / other for one, other in zip(first, second, strict=True))


if __name__ == "__main__":
    main()
