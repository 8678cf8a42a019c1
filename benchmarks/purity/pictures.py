"""Pictures with their whole trajectories: what the study of purity looks at (``benchmarks/purity/study.py``).

Samples are planned, drawn and scored by the product's own code; beside them the predicted x0 of every step is kept.
One safetensors file a shard, so that a killed run goes on.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from fairshards.filters.base import Filter
from fairshards.filters.registry import filter_class
from fairshards.generators.diffusion.finite import FiniteRows
from fairshards.generators.diffusion.requests import ImageRequest
from fairshards.generators.diffusion.text_to_image import TextToImage
from fairshards.generators.diffusion.trajectory import TrajectoryVariance
from fairshards.generators.images import decode_image
from fairshards.pipeline.pictures.models import generator_spec, scorer_spec
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.run.progress import Reporter
from fairshards.pipeline.synthesis import plan as planning
from fairshards.pocket.networks.oracle import load_oracle
from fairshards.transforms.pictures.generate import LazyGenerator, image_request
from fairshards.transforms.pictures.score import LazyScorer, request_of

Floats = npt.NDArray[np.float32]


class Recorder(TrajectoryVariance):
    """Keeps every predicted x0 of a run, instead of a running variance."""

    def __init__(self, scheduler: Any) -> None:
        super().__init__(scheduler, 10**6)
        self.steps: list[Tensor] = []

    def add(self, x0: Tensor) -> None:
        """Add one step's predictions (batch, c, h, w)."""
        self.steps.append(x0.to("cpu", torch.float16))


class Recorded(TextToImage):
    """A model that keeps the trajectories of what it draws; the pictures are the same."""

    def __init__(self, pipeline: Any, *, device: str = "cpu", dtype: str = "float32") -> None:
        super().__init__(pipeline, device=device, dtype=dtype)
        self.runs: list[Recorder] = []

    def watch(self, stack: ExitStack, window: int, begin: int = 0) -> tuple[FiniteRows, TrajectoryVariance | None]:
        """Set up what is measured, and the recorder beside it."""
        found = super().watch(stack, window, begin)
        self.runs.append(stack.enter_context(Recorder(self.pipeline.scheduler)))
        return found

    def trajectories(self, requests: list[ImageRequest], batch: int) -> tuple[list[Any], Tensor]:
        """Return the results, and (n, steps, c, h, w) float16 predicted x0."""
        self.runs.clear()
        results = list(self.generate(requests, batch))
        whole = torch.cat([torch.stack(run.steps, 1) for run in self.runs])
        return results, whole[: len(requests)]


@dataclass
class Bed:
    """Samples (n) of one model.

    Attributes:
        rows: Of each: its id, group, judge's and oracle's answers, scores.
        images: (n, 64, 64, 3) uint8.
        x0: (n, steps, c, h, w) float16, the predicted x0 of every step.
        embeddings: (n, d) float32, CLIP's, of length 1.
    """

    rows: list[dict[str, Any]]
    images: npt.NDArray[np.uint8]
    x0: Tensor
    embeddings: Floats

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return one entry of every row."""
        return np.array([row[name] for row in self.rows])


def make(recipe: Recipe, class_name: str, shards: int, work: Path, report: Reporter) -> Bed:
    """Return ``shards`` shards of each of a class's groups: looked up in ``work``, or made."""
    spec = generator_spec(recipe)
    generator, scorer = LazyGenerator(spec), LazyScorer(scorer_spec(recipe))
    recorded: Recorded | None = None
    files = []
    work.mkdir(parents=True, exist_ok=True)
    mine = [group for group in recipe.groups if recipe.classes[group[0]].name == class_name]
    wanted = [(group, shard) for shard in range(shards) for group in mine]
    for number, (group, shard) in enumerate(wanted):
        rows = planning.shard_rows(recipe, spec, group, shard, 0)
        file = work / f"{rows[0]['task']}-{rows[0]['sample_id'][:12]}.safetensors"
        files.append(file)
        if file.is_file():
            continue
        if recorded is None:
            plain = generator.model
            recorded = Recorded(plain.pipeline, device=plain.device, dtype=plain.dtype)
        report.say(f"shard {number + 1} of {len(wanted)}: {rows[0]['task']}")
        _write(file, rows, recorded, scorer, spec.window, spec.batch_size)
    return _read(files)


def _write(
    file: Path, plan: list[dict[str, Any]], model: Recorded, scorer: LazyScorer, window: int, batch: int
) -> None:
    results, x0 = model.trajectories([image_request(row, window) for row in plan], batch)
    good = [place for place, result in enumerate(results) if result.png is not None]
    plan, results, x0 = [plan[place] for place in good], [results[place] for place in good], x0[good]
    images = np.stack([np.asarray(decode_image(result.png)) for result in results])
    scored, embeddings = scorer.scorer.scored(images, [request_of(row) for row in plan])
    classes, backgrounds = load_oracle().judge(torch.from_numpy(images).permute(0, 3, 1, 2))
    said = [
        {
            "sample_id": row["sample_id"],
            "group": row["group_name"],
            "class_name": row["class_name"],
            "bias_name": row["bias_name"],
            "trajectory_variance": result.trajectory_variance,
            "values": {score.score: score.value for score in scores},
            "labels": {score.score: score.label for score in scores},
            "oracle": int(seen == row["y"] and place == row["b"]),
        }
        for row, result, scores, seen, place in zip(
            plan, results, scored, classes.tolist(), backgrounds.tolist(), strict=True
        )
    ]
    tensors = {
        "images": torch.from_numpy(images),
        "x0": x0.contiguous(),
        "embeddings": torch.from_numpy(np.stack([embeddings[row["sample_id"]] for row in plan])),
    }
    temporary = file.with_suffix(".tmp")
    save_file(tensors, temporary, {"rows": json.dumps(said)})
    temporary.replace(file)


def _read(files: list[Path]) -> Bed:
    rows: list[dict[str, Any]] = []
    parts: dict[str, list[Tensor]] = {"images": [], "x0": [], "embeddings": []}
    for file in files:
        with safe_open(file, framework="pt") as opened:
            rows += json.loads(opened.metadata()["rows"])
            for name, found in parts.items():
                found.append(opened.get_tensor(name))
    whole = {name: torch.cat(found) for name, found in parts.items()}
    return Bed(rows, whole["images"].numpy(), whole["x0"], whole["embeddings"].float().numpy())


def judged(bed: Bed) -> npt.NDArray[np.bool_]:
    """Tell which samples CLIP's judge sees in the group that was asked for: (n,)."""
    judge: Filter = filter_class("group_judge")()
    return np.array([judge.decide(row["values"], row["labels"], {**row, "b": 0}) is True for row in bed.rows])
