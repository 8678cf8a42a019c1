"""What is installed here, and what works: versions, devices, models, runners."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Callable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

DISTRIBUTIONS = (
    "fairshards",
    "apache-beam",
    "diffusers",
    "transformers",
    "open_clip_torch",
    "torch",
    "torchvision",
    "timm",
    "webdataset",
    "duckdb",
    "pyarrow",
)
POCKET_MODELS = (
    "pocket-diffusion",
    "pocket-clip",
    "pocket-captioner",
    "pocket-extractor",
    "pocket-segmenter",
    "oracle",
)

Rows = list[tuple[str, str, bool | None]]
"""What was looked for, what was found, and whether that is good; None: either way is."""


def doctor(console: Console) -> int:
    """Print a table of what was found; return 1 when the pocket recipe could not run here."""
    table = Table("what", "found", "good", show_header=True)
    problems = 0
    probes = {"versions": _versions, "machine": _machine, "devices": _devices, "models": _models, "runners": _runners}
    for what, found, good in [row for name, probe in probes.items() for row in _rows(name, probe)]:
        problems += good is False
        table.add_row(what, escape(found), {True: "[green]yes[/]", False: "[red]no[/]", None: "-"}[good])
    console.print(table)
    return 1 if problems else 0


def _rows(name: str, probe: Callable[[], Rows]) -> Rows:
    """Return a probe's rows; one that says why, where it fails."""
    try:
        return probe()
    except Exception as error:
        return [(name, f"{type(error).__name__}: {error}", False)]


def _versions() -> Rows:
    rows: Rows = [("python", sys.version.split()[0], sys.version_info >= (3, 11))]
    for name in DISTRIBUTIONS:
        try:
            rows.append((name, importlib.metadata.version(name), True))
        except importlib.metadata.PackageNotFoundError:
            rows.append((name, "not installed: run make install, or pip install fairshards", False))
    return rows


def _machine() -> Rows:
    free = shutil.disk_usage(".").free / 2**30
    return [("cpu cores", str(len(os.sched_getaffinity(0))), None), ("free disk here", f"{free:.0f} GiB", free > 1)]


def _devices() -> Rows:
    import torch

    cuda = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none; set generator.device: cpu"
    return [("cuda device", cuda, None)]


def _models() -> Rows:
    from fairshards.pocket import checkpoint_path

    rows: Rows = []
    for name in POCKET_MODELS:
        try:
            folder = checkpoint_path(name)
            weights = list(folder.rglob("*.safetensors"))
            rows.append((f"model pocket:{name}", f"{len(weights)} weight files", bool(weights)))
        except Exception as error:
            rows.append((f"model pocket:{name}", str(error), False))
    return rows


def _runners() -> Rows:
    import apache_beam as beam

    from fairshards.pipeline.run.jobs import RUNNERS, Launcher

    rows: Rows = []
    try:
        Launcher().run(lambda pipeline: pipeline | beam.Create([1]) | beam.Map(lambda number: number))
        rows.append(("runner local", "ran a pipeline", True))
    except Exception as error:
        rows.append(("runner local", str(error), False))
    others = ", ".join(name for name in RUNNERS if name != "local")
    rows.append((f"runners {others}", "need a service; not tried", None))
    return rows
