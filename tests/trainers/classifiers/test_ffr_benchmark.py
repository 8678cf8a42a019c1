"""The FFR benchmark: its statistics, its tables, equal tuning, and that it resumes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.ffr import compare as ffr
from benchmarks.ffr import probe as ffr_probe
from benchmarks.ffr.artefacts import degrade, degraded_copy
from benchmarks.ffr.tables import (
    differences_table,
    mean_interval,
    paired_difference,
    report,
    results_table,
    worst_table,
)
from benchmarks.ffr.tuning import LOSSES, METHODS, RATES, choose, save, settings_for, with_rate
from fairshards.pipeline.run.progress import Reporter
from fairshards.trainers.classifiers.selection import SELECTION
from fairshards.trainers.classifiers.settings import TrainSettings
from fairshards.trainers.core.index import Sample, group_counts, read_index
from fairshards.trainers.core.loaders import stream_images
from tests.trainers.shapes import quick, shape_pictures, write_index


def test_the_interval_of_a_mean_is_students() -> None:
    found = mean_interval([0.1, 0.2, 0.3, 0.4, 0.5])
    assert found.mean == pytest.approx(0.3) and found.n == 5
    assert found.half == pytest.approx(2.776 * 0.158114 / 5**0.5, abs=1e-5)
    assert mean_interval([0.7]).half is None and mean_interval([0.7]).percent() == "70.0"


def test_a_paired_difference_is_over_common_seeds_and_keeps_its_sign() -> None:
    found = paired_difference({0: 0.5, 1: 0.6, 2: 0.9}, {0: 0.6, 1: 0.8, 3: 0.1})
    assert found is not None and found.n == 2
    assert found.percent(signed=True) == "-15.0 ± 63.5"
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


def row(method: str, loss: str, seed: int, worst: float, ratio: float = 0.97) -> dict[str, Any]:
    return {
        "seed": seed,
        "ratio": ratio,
        "method": method,
        "loss": loss,
        "worst_group": worst,
        "balanced": 0.9,
        "average": 0.8,
        "adjusted_average": 0.95,
        "synthetic": 940,
        "bits": 0.25,
        "steps": 744,
    }


def test_tables_hold_every_cell_and_the_references() -> None:
    rows = [row(method, "erm", seed, 0.5 + 0.1 * seed) for method in METHODS for seed in (0, 1)]
    rows += [row("ffr-stage1", "", 0, 0.7), {**row("zero-shot", "", 0, 0.9), "bits": None, "synthetic": 0, "steps": 0}]
    rows += [row("balanced-real", "erm", 0, 0.95, ratio=0.5)]
    lines = results_table(rows).splitlines()
    assert lines[2].startswith("| 0.5 | balanced real, same size | ERM | 95.0 |")
    assert [line.split(" | ")[1] for line in lines[3:]] == [
        "none",
        "USB",
        "ASB",
        "FFR",
        "FFR stage 1 alone",
        "zero-shot CLIP",
    ]
    assert "| 55.0 ± 63.5 | 90.0 ± 0.0 |" in lines[3] and lines[3].endswith("| 940 | 744 | 0.25 | 2 |")
    assert differences_table(rows).splitlines()[2] == "| 0.97 | ERM | +0.0 ± 0.0 | +0.0 ± 0.0 | +0.0 ± 0.0 | -20.0 |"
    assert worst_table(rows).splitlines()[:3] == [
        "| method | loss | r = 0.97 |",
        "| --- | --- | ---: |",
        "| none | ERM | 55.0 ± 63.5 |",
    ]
    assert "| balanced real, same size | ERM | 95.0 |" in worst_table(rows).splitlines()
    assert worst_table(rows) in report(rows) and "paired by seed" in report(rows) and SELECTION in report(rows)


def test_every_method_has_the_same_number_of_trials_and_only_validation_decides(tmp_path: Path) -> None:
    names = [f"{method} {loss}" for method in METHODS for loss in LOSSES]
    scores = {name: {f"{rate:g}": [0.5, rate * 20] for rate in RATES} for name in names}
    scores["ffr erm"]["0.0001"] = [0.9, 0.9]
    table = save(scores, [100, 101], tmp_path / "tuning.json")
    assert "| ffr erm | 25.0 | 90.0 | 26.0 | 28.0 | 35.0 | 0.0001 |" in table
    assert settings_for("ffr", "erm", 3, tmp_path / "tuning.json").finetune.lr == 1e-4
    assert settings_for("asb", "erm", 3, tmp_path / "tuning.json").main.lr == 1e-2
    with pytest.raises(FileNotFoundError, match="--tune"):
        settings_for("asb", "erm", 3, tmp_path / "none.json")


def test_the_tuned_rate_is_that_of_the_stage_that_sees_real_pictures() -> None:
    asb, ours = with_rate(TrainSettings("asb"), 0.5), with_rate(TrainSettings("ffr"), 0.5)
    assert asb.stages["train"].lr == 0.5
    assert ours.stages["stage2"].lr == 0.5 and ours.stages["stage1"] == TrainSettings("ffr").pretrain


def test_equal_rates_go_to_the_lowest() -> None:
    assert choose({"0.001": [0.5], "0.0003": [0.5], "0.003": [0.4]}) == 0.0003


def test_the_grid_is_the_published_one(tmp_path: Path) -> None:
    names = [f"{method} {loss}" for method in METHODS for loss in LOSSES]
    save({name: {f"{rate:g}": [0.5] for rate in RATES} for name in names}, [100], tmp_path / "tuning.json")
    cells = ffr.grid([0, 1], [0.95, 0.99], tmp_path / "tuning.json")
    assert len(cells) == 2 * (2 * 9 + 1)
    assert all(cell.settings.seed == cell.seed for cell in cells)
    assert [cell.ratio for cell in cells if cell.settings.method == "balanced-real"] == [0.5, 0.5]
    rows, other = ffr.Rows(tmp_path / "none.json", "basis"), ffr.Rows(tmp_path / "none.json", "another generator")
    assert len({rows.key(cell) for cell in cells} | {other.key(cell) for cell in cells}) == 2 * len(cells)


def test_the_benchmark_goes_on_where_it_stood(
    tmp_path: Path, real_index: Path, synthetic_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[tuple[int, float]] = []

    def prepare(seed: int, ratio: float, runs: Path, sets: Sequence[str] = ()) -> ffr.Indexes:
        prepared.append((seed, ratio))
        return ffr.Indexes(runs / str(seed), real_index, synthetic_index)

    monkeypatch.setattr(ffr, "prepare", prepare)
    monkeypatch.setattr(ffr, "zero_shot", lambda index: row("zero-shot", "", 0, 0.9))
    cells = [ffr.Cell(0, 0.97, quick(method, epochs=1)) for method in ("erm", "ffr")]
    results = tmp_path / "results.json"
    ffr.run_grid(cells[:1], ffr.Rows(results, "basis"), tmp_path / "runs", Reporter(quiet=True))
    ffr.run_grid(cells, ffr.Rows(results, "basis"), tmp_path / "runs", Reporter(quiet=True))
    ffr.run_grid(cells, ffr.Rows(results, "basis"), tmp_path / "runs", Reporter(quiet=True))
    assert prepared == [(0, 0.97), (0, 0.97)]
    methods = [found["method"] for found in ffr.Rows(results, "basis").of(cells)]
    assert methods == ["erm", "zero-shot", "ffr", "ffr-stage1"]
    changed = [replace(cells[0], settings=replace(cells[0].settings, seed=9))]
    assert ffr.Rows(results, "basis").of(changed) == []


def test_the_curated_index_is_the_one_that_the_last_command_made(tmp_path: Path) -> None:
    names = [
        "run.parquet",
        "source/a.parquet",
        "source/index-0a.parquet",
        "curated/b/decisions.parquet",
        "curated/b/index.parquet",
        "curated/a/index.parquet",
    ]
    (tmp_path / "run.json").write_text(json.dumps({"manifests": names}))
    assert ffr.current_index(tmp_path, "curated/") == tmp_path / "curated/b/index.parquet"
    assert ffr.current_index(tmp_path, "source/index-") == tmp_path / "source/index-0a.parquet"


def test_artefacts_degrade_synthetic_pictures_and_nothing_else(synthetic_index: Path, tmp_path: Path) -> None:
    copy = degraded_copy(synthetic_index, tmp_path)
    before, after = read_index(synthetic_index, g=1).samples, read_index(copy, g=1).samples
    labels = [(sample.sample_id, sample.split, sample.y, sample.b, sample.g) for sample in before]
    assert [(sample.sample_id, sample.split, sample.y, sample.b, sample.g) for sample in after] == labels
    moved = stream_images(after, 16).float() - stream_images(before, 16).float()
    assert (moved.abs().flatten(1).mean(1) > 2).all(), "every picture changes"
    assert degraded_copy(synthetic_index, tmp_path) == copy


def test_a_picture_is_pixelated_and_noisy_by_its_seed() -> None:
    stripes = Image.fromarray(np.tile(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8), (16, 8, 1)))
    found = np.asarray(degrade(stripes, 1))
    assert abs(float(found.mean()) - 127.5) < 3, "pixels a stripe wide are averaged away"
    assert np.array_equal(found, np.asarray(degrade(stripes, 1)))
    assert not np.array_equal(found, np.asarray(degrade(stripes, 2)))


def test_the_probe_finds_the_source_where_it_can_be_seen_and_only_there() -> None:
    samples = [sample_of(y, b, g, number) for y in (0, 1) for b in (0, 1) for g in (0, 1) for number in range(50)]
    noise = torch.randn((len(samples), 4), generator=torch.Generator().manual_seed(1))
    shown = noise.clone()
    shown[:, 2] += 6 * torch.tensor([sample.g for sample in samples])
    assert ffr_probe.probe(shown, samples) > 0.97
    assert 0.38 < ffr_probe.probe(noise, samples) < 0.62


def test_the_probe_compares_equal_parts(real_index: Path, synthetic_index: Path) -> None:
    real, made = read_index(real_index, g=0).of("test"), read_index(synthetic_index, g=1).of("balanced")
    chosen = ffr_probe.equal_parts(real, made)
    counts = Counter((*sample.group, sample.g) for sample in chosen)
    assert len(counts) == 8 and len(set(counts.values())) == 1
    assert max(counts.values()) == min(*group_counts(real).values(), *group_counts(made).values())


def test_visibility_is_that_of_held_out_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffr_probe, "SIZE", 16)
    even = {(y, b): 80 for y in (0, 1) for b in (0, 1)}
    real = read_index(write_index(tmp_path / "real", shape_pictures({"test": even})), g=0).samples
    plain = write_index(tmp_path / "made", shape_pictures({"balanced": even}, g=1))
    made = read_index(degraded_copy(plain, tmp_path), g=1).samples
    samples = ffr_probe.equal_parts(real, made)
    assert ffr_probe.visibility(samples[::3], samples[1::3], seed=0) > 0.9


def test_the_probe_reads_the_benchmarks_models() -> None:
    rows = [row("usb", "erm", 1, 0.5), row("usb", "resample", 1, 0.5), row("usb", "erm", 2, 0.5, ratio=0.99)]
    cells = {str(place): [{**said, "training": f"t{place}"}] for place, said in enumerate(rows)}
    assert ffr_probe.models(cells, 0.97) == {1: {"usb": "t0"}}


def sample_of(y: int, b: int, g: int, number: int) -> Sample:
    return Sample(f"{y}{b}{g}{number}", "test", y, str(y), b, str(b), f"{y}|{b}", g, Path("none.tar"), 0, 0, "")
