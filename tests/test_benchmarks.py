"""The benchmarks run, on tiny models, and say when a goal is missed; their figures are docs/results' matter."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.speed import catalog, generation, memory, rerun, source_listing, trajectory, widened
from benchmarks.speed.generation import Timing
from benchmarks.speed.memory import Reading
from fairshards.filters.scorers.clip_model import ClipModel
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.run.progress import Reporter
from fairshards.pocket import checkpoint_path
from tests.tiny_models import write_tiny_diffusion


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_diffusion(tmp_path_factory.mktemp("model") / "tiny")


def exit_code(main: Callable[[], None], tiny: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Run a benchmark of generation on the tiny model, 4 pictures of 2 steps; return what it exits with."""
    few = ["--images", "4", "--steps", "2", "--batch", "2", "--rounds", "1"]
    monkeypatch.setattr("sys.argv", ["benchmark", "--model", str(tiny), *few])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_generation_compares_the_bytes_and_the_times_of_three_sides(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generation, "GOAL", 0)
    assert exit_code(generation.main, tiny, monkeypatch) is None
    said = capsys.readouterr()
    assert "4 pictures of 32x32, 2 steps, batch 2" in said.out and "same bytes: True" in said.out
    names = [line.split(" | ")[0] for line in said.out.splitlines()[3:6]]
    assert names == ["| bare loop", "| TextToImage", "| pipeline"]
    assert "round 1 of 1 is done" in said.err


def test_generation_misses_its_goal_by_time_and_by_bytes() -> None:
    timings = {"bare loop": Timing([0.9, 9.0, 0.9], [1.0] * 3), "pipeline": Timing([1.0, 1.0, 1.0], [1.0] * 3)}
    assert generation.missed(timings, equal=True) == "the pipeline's ratio 0.900 misses the goal 0.95"
    assert generation.missed(timings, equal=False) == "the sides' pictures differ"
    assert generation.missed({**timings, "pipeline": timings["bare loop"]}, equal=True) is None


def test_bytes_are_compared_with_sums() -> None:
    sums = ["ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"]
    assert generation.same_bytes({"png": lambda: [b"a"], "sha256": lambda: sums})
    assert not generation.same_bytes({"png": lambda: [b"b"], "sha256": lambda: sums})


def test_sides_take_turns_and_the_warm_up_is_not_timed() -> None:
    calls: list[str] = []
    sides = {name: lambda name=name: calls.append(name) or [] for name in "ab"}  # type: ignore[misc]
    timings = generation.interleave(sides, 2, Reporter(quiet=True))
    assert calls == ["b", "a", "a", "b", "b", "a"]
    assert [len(timings[name].wall) for name in "ab"] == [2, 2]


@pytest.mark.parametrize(("goal", "code"), [(1e9, False), (-1e9, True)])
def test_trajectory_exits_by_its_goal(
    goal: float, code: bool, tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trajectory, "GOAL", goal)
    assert exit_code(trajectory.main, tiny, monkeypatch) is code
    assert "DDIMScheduler, 1 rounds" in capsys.readouterr().out


def test_a_runs_memory_is_read_while_it_runs(tmp_path: Path) -> None:
    readings = memory.watch(["recipes"], tmp_path)
    assert 5 < readings[-1].private < readings[-1].peak < 1000 and readings[-1].shards == 0
    with pytest.raises(SystemExit, match="run nothing ended with 1"):
        memory.watch(["run", "nothing"], tmp_path)


def test_the_large_run_differs_by_its_samples_only(tmp_path: Path) -> None:
    words = memory.run_arguments(640, tmp_path, 2)
    recipe = load_recipe(words[1], words[words.index("--set") + 1 :: 2])
    assert (recipe.quota.per_group, recipe.generator.steps, recipe.filters) == (640, 2, {})
    assert set(memory.run_arguments(64, tmp_path, 2)) - set(words) == {"quota.per_group=64"}


def large_run(kib: float, peak: float = 1540.0) -> list[Reading]:
    """Readings of a run of 1,000 samples that holds ``kib`` of each, with models that load in its first tenth."""
    return [
        Reading(700 + 100 * (made < 50) + 60 * (made % 5 == 0) + made * kib / 1024, peak, made) for made in range(1000)
    ]


@pytest.mark.parametrize(
    ("kib", "peak", "met"), [(0, 1540, True), (2.8, 1540, True), (12, 1540, False), (0, 1700, False)]
)
def test_a_picture_that_is_held_misses_the_memory_goal(kib: float, peak: float, met: bool) -> None:
    small = [Reading(700.0, 1500.0, 0)]
    text, said = memory.verdict(100, small, large_run(kib, peak))
    assert memory.held_kib(large_run(kib), 1000) == pytest.approx(kib, abs=0.05)
    assert said is met and "| 10 times | 1000 |" in text and f"{kib:.1f}" in text


def test_rerun_reads_the_number_from_a_wrapped_line() -> None:
    assert rerun.generated_in("curated 8 samples: 2 a group; 12 generated in this run; curation ab") == 12
    assert rerun.generated_in("2 a group in the balanced split; 0 generated\nin this run;") == 0
    assert rerun.generated_in("nothing of the kind") == -1


@pytest.mark.parametrize("stage", catalog.ROWS)
def test_catalog_ingests_every_stage(stage: str, tmp_path: Path) -> None:
    row = catalog.measure(stage, tmp_path, rows=200, manifests=2, repeat=1)
    assert row[0] == stage and len(row) == 7 and (row[6] != "") == (stage == "plan")


@pytest.mark.parametrize(
    ("model", "config", "key"),
    [
        ("clip", "open_clip_config.json", "mlp_ratio"),
        ("captioner", "config.json", "intermediate_size"),
        ("extractor", "config.json", "d_ff"),
    ],
)
def test_a_widened_model_has_more_neurons(tmp_path: Path, model: str, config: str, key: str) -> None:
    folder = widened.widen(f"pocket:pocket-{model}", tmp_path / "wide", 3)
    before, after = checkpoint_path(f"pocket-{model}") / config, folder / config
    numbers = [[int(text) for text in re.findall(rf'"{key}": (\d+)', file.read_text())] for file in (before, after)]
    assert numbers[1] == ([12] if model == "clip" else [3 * number for number in numbers[0]])
    weights = [sum(file.stat().st_size for file in place.glob("*.safetensors")) for place in (before.parent, folder)]
    assert weights[1] > 1.4 * weights[0]


def test_a_widened_clip_embeds_as_before(tmp_path: Path) -> None:
    folder = widened.widen("pocket:pocket-clip", tmp_path / "wide", 3)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    found = [
        ClipModel.load(place, device="cpu", batch_size=1).embed_images([picture])
        for place in (checkpoint_path("pocket-clip"), folder)
    ]
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def test_source_listing_compares_the_cost_of_a_file_between_sizes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["benchmark", "--sizes", "8,16"])
    monkeypatch.setattr(source_listing, "GOAL", 1000.0)
    with pytest.raises(SystemExit) as ended:
        source_listing.main()
    assert ended.value.code == 0 and "a file of 16 costs" in capsys.readouterr().out
    slower = [source_listing.Timing(10, 1.0, 1.0, 0.1), source_listing.Timing(100, 1.0, 20.0, 0.1)]
    assert source_listing.growth(slower) == 2.0
