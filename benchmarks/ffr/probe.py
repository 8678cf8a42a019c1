"""Why a method wins or loses: how well synthetic pictures can be told from real ones, and what that costs.

    python -m benchmarks.ffr.probe                       # after python -m benchmarks.ffr.compare: its models, r = 0.97
    python -m benchmarks.ffr.probe --artefacts           # after python -m benchmarks.ffr.compare --artefacts

G is real or synthetic. Three figures a method, over the benchmark's seeds, on pictures that no model has trained
on (real: the balanced test split; synthetic: the next seed's balanced split), equally many per class, bias and G:

* **G from frozen features**: held-out accuracy of a logistic regression on what the head sees (chance 50).
* **worst group, real** and **worst group, synthetic**: where the second is much higher, the model knows the
  classes in generated pictures and not in real ones, which is the (B, G) shortcut at work.

The first line is the same network trained for G itself: how visible G is at all. Nothing is chosen by these figures.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from benchmarks.ffr.artefacts import degraded_copy
from benchmarks.ffr.compare import ARTEFACTS, RESULTS, current_index
from benchmarks.ffr.tables import mean_interval
from fairshards.catalogs.manifests.manifest import write_local
from fairshards.pipeline.run.progress import Reporter
from fairshards.trainers.classifiers.models import Classifier, build_model
from fairshards.trainers.classifiers.run import load_model
from fairshards.trainers.classifiers.settings import StageSettings
from fairshards.trainers.classifiers.train import Data, StageRun, train_stage
from fairshards.trainers.core.criteria import CrossEntropy
from fairshards.trainers.core.index import Sample, group_counts, read_index
from fairshards.trainers.core.loaders import CachedPictures, stream_images
from fairshards.trainers.core.place import Place
from fairshards.trainers.core.samplers import sampler_groups
from fairshards.trainers.core.seeding import seeded
from fairshards.trainers.evaluation.evaluate import group_accuracies, predict

NAMES = {"erm": "none", "usb": "USB", "asb": "ASB", "ffr": "FFR", "stage1": "FFR stage 1 alone"}
VISIBLE = "the same network, trained for G"
FIGURES = ("G from frozen features", "worst group, real", "worst group, synthetic")
SIZE, CPU = 64, torch.device("cpu")

Table = dict[str, list[list[float]]]
"""Per row of the table, per figure, one value a seed."""


def equal_parts(real: Sequence[Sample], synthetic: Sequence[Sample]) -> list[Sample]:
    """Return the first n samples of every (y, b, g), n the smallest's number."""
    both = [*real, *synthetic]
    n = min(min(group_counts(part).values()) for part in (real, synthetic))
    left = {(*group, g): n for group in group_counts(both) for g in (0, 1)}
    chosen = []
    for sample in both:
        if left[*sample.group, sample.g]:
            left[*sample.group, sample.g] -= 1
            chosen.append(sample)
    return chosen


@torch.inference_mode()
def features(model: Classifier, pictures: Tensor) -> Tensor:
    """Return what the head of a pocket-convnet sees, float32 [N, features], of uint8 [N, 3, S, S]."""
    body: Any = model.network[:-1]  # type: ignore[index]
    return torch.cat([body((part.float() / 255 - model.mean) / model.std) for part in torch.split(pictures, 256)])


def probe(vectors: Tensor, samples: Sequence[Sample]) -> float:
    """Return how often a logistic regression tells G on the half of the vectors that it wasn't fitted to."""
    g = [sample.g for sample in samples]
    order = torch.randperm(len(g), generator=torch.Generator().manual_seed(0)).tolist()
    fitted, held_out = order[: len(g) // 2], order[len(g) // 2 :]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(vectors[fitted].numpy(), [g[place] for place in fitted])
    return float(model.score(vectors[held_out].numpy(), [g[place] for place in held_out]))


def worst_group(model: Classifier, pictures: Tensor, samples: Sequence[Sample], g: int) -> float:
    """Return the lowest accuracy over the (y, b) groups of one source."""
    places = [place for place, sample in enumerate(samples) if sample.g == g]
    predicted = predict(model, CachedPictures(pictures[places]), Place(CPU))
    return min(group.accuracy for group in group_accuracies(predicted, [samples[place] for place in places]))


def visibility(train: Sequence[Sample], held_out: Sequence[Sample], seed: int) -> float:
    """Return the held-out accuracy of a fresh network that is trained to tell real from synthetic."""
    data, test = _labelled_by_source(train), _labelled_by_source(held_out)
    with seeded(seed, CPU):
        model = build_model("pocket-convnet", 2)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "checkpoint.safetensors"
        run = StageRun(
            "visibility",
            StageSettings(),
            train=data,
            val=data,
            groups=sampler_groups(data.samples),
            resamples=False,
            criterion=CrossEntropy(),
            seed=seed,
            place=Place(CPU),
            checkpoint=checkpoint,
            task="g",
        )
        train_stage(run, model)
    right = predict(model, test.pictures, Place(CPU)) == torch.tensor([sample.y for sample in test.samples])
    return float(right.float().mean())


def _labelled_by_source(samples: Sequence[Sample]) -> Data:
    labelled = [replace(sample, y=sample.g, group_name=f"{sample.g}|{sample.bias_name}") for sample in samples]
    return Data(labelled, CachedPictures(stream_images(samples, SIZE)))


def held_out(runs: Path, seed: int, other: int, artefacts: bool) -> list[Sample]:
    """Return real and synthetic samples that no training of ``seed`` has seen: its test, another seed's balanced."""
    real = read_index(current_index(runs / f"seed-{seed}", "source/index-"), g=0).of("test")
    index = current_index(runs / f"seed-{other}", "curated/")
    if artefacts:
        index = degraded_copy(index, runs / f"seed-{other}" / "artefacts")
    return equal_parts(real, read_index(index, g=1).of("balanced"))


def models(cells: Mapping[str, Sequence[Mapping[str, Any]]], ratio: float) -> dict[int, dict[str, str]]:
    """Return the training ids of the benchmark's ERM-loss cells at a ratio, by seed and method."""
    found: dict[int, dict[str, str]] = {}
    for row in (row for rows in cells.values() for row in rows):
        if row["ratio"] == ratio and row["loss"] == "erm" and row["method"] in NAMES:
            found.setdefault(row["seed"], {})[row["method"]] = row["training"]
    return found


def measure(runs: Path, trainings: Mapping[int, Mapping[str, str]], artefacts: bool, report: Reporter) -> Table:
    """Return every figure, one value a seed, by method."""
    table: Table = {}
    seeds = sorted(trainings)
    for place, seed in enumerate(seeds):
        other = seeds[(place + 1) % len(seeds)]
        samples = held_out(runs, seed, other, artefacts)
        pictures = stream_images(samples, SIZE)
        seen = held_out(runs, other, seeds[(place + 2) % len(seeds)], artefacts)
        _add(table, VISIBLE, [visibility(seen, samples, seed)])
        for method, training in trainings[seed].items():
            folder = runs / f"seed-{seed}" / "training" / training
            stages = {method: "final", **({"stage1": "stage1"} if method == "ffr" else {})}
            for name, stage in stages.items():
                model = load_model(folder, stage)
                figures = [probe(features(model, pictures), samples)]
                figures += [worst_group(model, pictures, samples, g) for g in (0, 1)]
                _add(table, NAMES[name], figures)
        report.say(f"seed {seed} is measured")
    return table


def _add(table: Table, name: str, figures: Sequence[float]) -> None:
    columns = table.setdefault(name, [[] for _ in figures])
    for column, value in zip(columns, figures, strict=True):
        column.append(value)


def markdown(table: Table) -> str:
    """Return the table: percent, mean over seeds and the half-width of the 95% t interval."""
    lines = [["model", *FIGURES], ["---"] * (1 + len(FIGURES))]
    for name, columns in ((name, table[name]) for name in (VISIBLE, *NAMES.values()) if name in table):
        cells = [mean_interval(column).percent() for column in columns]
        lines.append([name, *cells, *[""] * (len(FIGURES) - len(cells))])
    return _join(lines)


def _join(lines: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def command(
    runs: Annotated[Path, typer.Option("--run", help="Folder of the benchmark's run folders.")] = Path("runs/ffr"),
    ratio: Annotated[float, typer.Option(help="The bias ratio whose models are looked at.")] = 0.97,
    artefacts: Annotated[bool, typer.Option("--artefacts", help="Those of benchmarks.ffr --artefacts.")] = False,
) -> None:
    """How visible G is to every method's model. Example: python -m benchmarks.ffr.probe --ratio 0.99"""
    results = ARTEFACTS if artefacts else RESULTS
    trainings = models(json.loads(results.read_text())["cells"], ratio)
    table = markdown(measure(runs, trainings, artefacts, Reporter()))
    write_local(results.with_name(f"{results.stem}-probe.md"), table.encode() + b"\n")
    print(table)


if __name__ == "__main__":
    typer.run(command)
