"""Biased datasets of the pocket world as WebDataset shards: ``<key>.png .cls .json .txt``.

Example: ``python -m fairshards.pocket.world /tmp/world --n-train 1000 --bias-ratio 0.97``
"""

import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import webdataset as wds
from PIL import Image

from fairshards.pocket.scenes.render import GROUPS, Group, Sample, render_sample
from fairshards.pocket.scenes.scene import BACKGROUNDS, CLASSES, ObjectRates, check_rates

RENDER_VERSION = 1
"""Goes up when the same arguments give other pictures, captions or counts; runs then render their world again."""
SHARD_SIZE = 500
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class WorldPaths:
    """What ``write_world`` wrote: shards of each split, in order, and ``world.json``."""

    shards: dict[str, list[Path]]
    summary: Path


def biased_counts(total: int, bias_ratio: float, floor: int = 0) -> dict[Group, int]:
    """Pictures a group: classes balanced, a share ``bias_ratio`` of each class on its typical background.

    So n_min = n_maj * (1 - r) / r (the count rule of FFR), rounded; ``floor`` lifts small groups.
    """
    if not 0.5 <= bias_ratio <= 1 or total < 2:
        raise ValueError(f"got total {total}, bias_ratio {bias_ratio}; want total >= 2 and 0.5 <= bias_ratio <= 1")
    counts = {}
    for number, name in enumerate(CLASSES):
        of_class = total // 2 + (total % 2 if number == 0 else 0)
        majority = round(of_class * bias_ratio)
        for place_number, place in enumerate(BACKGROUNDS):
            count = majority if place_number == number else of_class - majority
            counts[name, place] = max(count, floor)
    return counts


def shuffled_groups(counts: dict[Group, int]) -> list[Group]:
    """Every group as often as it is counted, spread evenly over the list (no randomness)."""
    places = [((turn + 0.5) / count, group) for group, count in counts.items() for turn in range(count)]
    return [group for _, group in sorted(places)]


def metadata(sample: Sample, split: str, key: str) -> dict[str, Any]:
    """The ``.json`` entry of a sample."""
    scene = sample.scene
    return {
        "key": key,
        "split": split,
        "class": scene.class_name,
        "label": scene.label,
        "background": scene.background,
        "place": scene.place,
        "group": f"{scene.class_name}-{scene.background}",
        "colour": scene.colour,
        "object": scene.object,
        "caption": sample.caption,
        "seed": scene.seed,
        "index": scene.index,
    }


def png_bytes(sample: Sample) -> bytes:
    """The picture as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(sample.image).save(buffer, "png", compress_level=4)
    return buffer.getvalue()


def entry(sample: Sample, split: str) -> dict[str, Any]:
    """A WebDataset sample; the key is split and index in letters and digits, unique over a world."""
    key = f"{split}{sample.scene.seed:04x}{sample.scene.index:07d}"
    record = json.dumps(metadata(sample, split, key), sort_keys=True).encode()
    label = str(sample.scene.label).encode()
    return {"__key__": key, "cls": label, "json": record, "png": png_bytes(sample), "txt": sample.caption.encode()}


def samples(split: str, seed: int, groups: Sequence[Group], rates: ObjectRates | None) -> Iterator[Sample]:
    """The split's samples in the order of ``groups``."""
    for index, (name, place) in enumerate(groups):
        yield render_sample(split, seed, index, name, place, rates)


def write_shard(path: Path, entries: list[dict[str, Any]]) -> Path:
    """Write a tar whose bytes depend on its entries only, under a temporary name that is then renamed."""
    fresh = path.with_suffix(".tmp")
    with fresh.open("wb") as file, wds.TarWriter(file, mtime=0, encoder=False) as writer:
        for row in entries:
            writer.write(row)
    return fresh.replace(path)


def write_split(folder: Path, split: str, seed: int, counts: dict[Group, int], rates: ObjectRates | None) -> list[Path]:
    """The shards ``<split>-000000.tar``, ... of up to 500 samples each."""
    paths: list[Path] = []
    pending: list[dict[str, Any]] = []
    groups = shuffled_groups(counts)
    for number, sample in enumerate(samples(split, seed, groups, rates), start=1):
        pending.append(entry(sample, split))
        if len(pending) == SHARD_SIZE or number == len(groups):
            paths.append(write_shard(folder / f"{split}-{len(paths):06d}.tar", pending))
            pending = []
    return paths


def write_world(
    out_dir: Path | str,
    *,
    n_train: int = 1000,
    bias_ratio: float = 0.97,
    seed: int = 0,
    n_val: int = 400,
    n_test_per_group: int = 250,
    val_min_group: int = 100,
    object_rates: ObjectRates | None = None,
) -> WorldPaths:
    """Write train (bias ratio r), val (the same r, at least ``val_min_group`` a group: the published rule is 10) and
    balanced test, each from its own domain, then ``world.json`` with the counts. Existing files are replaced.

    ``object_rates`` plants small objects, in all splits alike: {class: {kind: rate}}. Whatever they are, the pictures
    show the same birds in the same places. Raises ValueError for rates that can't be drawn.
    """
    check_rates(object_rates or {})
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    counts = {
        "train": biased_counts(n_train, bias_ratio),
        "val": biased_counts(n_val, bias_ratio, val_min_group),
        "test": dict.fromkeys(GROUPS, n_test_per_group),
    }
    (folder / "world.json").unlink(missing_ok=True)
    for stale in (path for split in SPLITS for path in folder.glob(f"{split}-*.tar")):
        stale.unlink()
    shards = {split: write_split(folder, split, seed, counts[split], object_rates) for split in SPLITS}
    return WorldPaths(shards, write_summary(folder, shards, counts, bias_ratio, seed, object_rates))


def write_summary(
    folder: Path,
    shards: dict[str, list[Path]],
    counts: dict[str, dict[Group, int]],
    bias_ratio: float,
    seed: int,
    object_rates: ObjectRates | None = None,
) -> Path:
    """``world.json``, written last: a world without it is unfinished. It names the object rates, where there are."""
    summary: dict[str, Any] = {
        "bias_ratio": bias_ratio,
        "seed": seed,
        "classes": CLASSES,
        "backgrounds": BACKGROUNDS,
        "groups": {s: {f"{c}-{b}": n for (c, b), n in groups.items()} for s, groups in counts.items()},
        "shards": {split: [path.name for path in paths] for split, paths in shards.items()},
    }
    if object_rates:
        summary["object_rates"] = object_rates
    fresh = folder / "world.json.tmp"
    fresh.write_text(json.dumps(summary, indent=2) + "\n")
    return fresh.replace(folder / "world.json")


def parse_planted(text: str) -> dict[str, dict[str, float]]:
    """Object rates from "waterbird:reed=0.9,landbird:branch=0.9"; raises ValueError with what is wrong."""
    rates: dict[str, dict[str, float]] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = re.fullmatch(r"(\w+):(\w+)=([0-9.]+)", part)
        if not found:
            raise ValueError(f"got {part!r}; want class:object=rate, as waterbird:reed=0.9")
        name, kind, rate = found.groups()
        if kind in rates.setdefault(name, {}):
            raise ValueError(f"{name}:{kind} is there twice")
        rates[name][kind] = float(rate)
    check_rates(rates)
    return rates


def command(
    out_dir: Annotated[Path, typer.Argument(help="Folder to write; created if missing.")],
    n_train: Annotated[int, typer.Option(help="Training pictures in all.")] = 1000,
    bias_ratio: Annotated[float, typer.Option(help="Share of a class on its typical background.")] = 0.97,
    seed: Annotated[int, typer.Option(help="Seed of all three splits.")] = 0,
    n_val: Annotated[int, typer.Option(help="Validation pictures before the floor per group.")] = 400,
    n_test_per_group: Annotated[int, typer.Option(help="Test pictures in each of the four groups.")] = 250,
    val_min_group: Annotated[int, typer.Option(help="Least validation pictures a group; 10 as published.")] = 100,
    planted: Annotated[str, typer.Option(help="Objects by class: waterbird:reed=0.9,landbird:branch=0.9")] = "",
) -> None:
    """Write Pocket Waterbirds. Example: python -m fairshards.pocket.world /tmp/world --n-train 1000"""
    try:
        rates = parse_planted(planted)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--planted") from None
    paths = write_world(
        out_dir,
        n_train=n_train,
        bias_ratio=bias_ratio,
        seed=seed,
        n_val=n_val,
        n_test_per_group=n_test_per_group,
        val_min_group=val_min_group,
        object_rates=rates,
    )
    typer.echo(paths.summary.read_text(), nl=False)


if __name__ == "__main__":
    typer.run(command)
