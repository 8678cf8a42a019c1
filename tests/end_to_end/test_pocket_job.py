"""The whole pocket job as users run it, at its full size: minutes a seed, so `make test-full` alone runs it."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from fairshards.catalogs.manifests import manifest
from fairshards.catalogs.questions.query import run_query
from fairshards.pipeline.driver import run
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.kinds.kind import RunResult
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.progress import Reporter
from fairshards.pipeline.verify import verify
from fairshards.pocket.networks.oracle import load_oracle
from fairshards.transforms.shards.tars import slice_of
from tests.pipeline.small import digests

pytestmark = pytest.mark.slow
SEEDS = (20, 21)
Record = Callable[[str, object], None]


def recipe(seed: int) -> Recipe:
    return load_recipe("pocket-waterbirds", [f"seed={seed}", f"training.seeds=[{seed}]"])


@pytest.fixture(scope="module", params=SEEDS, ids=lambda seed: f"seed{seed}")
def job(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, RunResult]:
    folder = tmp_path_factory.mktemp(f"job-{request.param}") / "run"
    return request.param, run(recipe(request.param), Launcher(), Reporter(quiet=True), root=folder)


def test_every_group_is_filled(job: tuple[int, RunResult]) -> None:
    _, result = job
    assert result.curated is not None and not result.curated.selection.shortfall
    balanced = "SELECT count(*) FROM shard_index WHERE split = 'balanced' GROUP BY group_name"
    _, rows = run_query(result.folder.root, balanced)
    assert rows == [(result.curated.selection.balanced,)] * 4 and rows[0][0] == 235


def test_the_oracle_agrees_with_the_kept_pictures(job: tuple[int, RunResult], record_property: Record) -> None:
    seed, result = job
    assert result.curated is not None
    index = result.folder.root / result.curated.index
    _, rows = manifest.read_rows(index)
    tars = {row["shard"]: (index.parent / row["shard"]).read_bytes() for row in rows}
    pngs = [slice_of(tars[row["shard"]], row["offset"], row["size"]) for row in rows]
    pictures = torch.from_numpy(np.stack([np.asarray(Image.open(io.BytesIO(png))) for png in pngs])).permute(0, 3, 1, 2)
    classes, places = load_oracle().judge(pictures)
    wanted = torch.tensor([(row["y"], row["b"]) for row in rows])
    agreement = ((classes == wanted[:, 0]) & (places == wanted[:, 1])).float().mean().item()
    record_property(f"seed {seed}: oracle agrees with kept pictures", round(agreement, 4))
    assert agreement >= 0.97


def test_ffr_beats_erm_on_the_worst_group(job: tuple[int, RunResult], record_property: Record) -> None:
    seed, result = job
    worst = {training.method: training.test["worst_group"] for training in result.judged}
    for method, value in worst.items():
        record_property(f"seed {seed}: worst group, {method}", round(value, 4))
    assert worst["ffr"] >= worst["erm"] + 0.10


def test_the_recipes_header_says_what_to_expect(job: tuple[int, RunResult]) -> None:
    _, result = job
    header = (files("fairshards.recipes") / "pocket-waterbirds.yaml").read_text().partition("name:")[0]
    expected = {name.lower(): float(value) for name, value in re.findall(r"(ERM|USB|ASB|FFR) (\d+\.\d)", header)}
    assert expected.keys() == {"erm", "usb", "asb", "ffr"}
    for training in result.judged:
        assert abs(100 * training.test["worst_group"] - expected[training.method]) <= 15, training.method


def test_a_second_run_makes_nothing(job: tuple[int, RunResult]) -> None:
    seed, result = job
    again = run(recipe(seed), Launcher(), Reporter(quiet=True), root=result.folder.root)
    assert again.generated == 0 and not any(training.trained for training in again.judged)


def test_samples_can_be_made_again(job: tuple[int, RunResult]) -> None:
    seed, result = job
    assert verify(result.folder, recipe(seed), 8, False, Console(quiet=True)) == 0


def test_two_workers_write_the_same_curated_shards(
    job: tuple[int, RunResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed, result = job
    if seed != SEEDS[0]:
        pytest.skip("one seed is enough for this")
    monkeypatch.chdir(tmp_path)
    threads = len(os.sched_getaffinity(0))  # as many as the run in one process had
    launcher = Launcher(workers=2, torch_threads=threads)
    run(recipe(seed), launcher, Reporter(quiet=True), "curate", tmp_path / "run")
    assert digests(tmp_path / "run") == digests(result.folder.root)
