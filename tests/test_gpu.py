"""What runs on a GPU, on one: skipped where torch finds no CUDA. The same pocket checkpoints as everywhere."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fairshards.catalogs.cohorts.checked import check_cohort
from fairshards.catalogs.cohorts.studies.support2 import support2
from fairshards.catalogs.database.catalog import Catalog
from fairshards.filters.scorers.clip_model import ClipModel
from fairshards.generators.diffusion.text_to_image import ImageRequest, TextToImage
from fairshards.generators.tables.bt_gan import BtGan
from fairshards.pipeline.driver import run
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.progress import Reporter
from fairshards.pocket import checkpoint_path
from fairshards.trainers.tables.bt_gan import fit
from fairshards.trainers.tables.settings import BtGanSettings

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")

PROMPTS = ("a photo of a landbird on water", "a photo of a waterbird on land")
ON_GPU = (
    "generator.device=cuda",
    "scorer.device=cuda",
    "generator.batch_size=8",
    "generator.steps=6",
    "generator.window=3",
    "quota.shard_size=8",
)
SMALL_WORLD = ("source.n_train=160", "source.val_min_group=6", "source.test_per_group=10")


def asked(count: int) -> list[ImageRequest]:
    return [
        ImageRequest(f"{index:032x}", index, PROMPTS[index % 2], "", 2.0, 12, 64, 64, eta=0.99, window=5)
        for index in range(count)
    ]


def pictures(dtype: str, device: str = "cuda", count: int = 8, batch: int = 8) -> list[bytes]:
    model = TextToImage.load(checkpoint_path("pocket-diffusion"), device=device, dtype=dtype)
    made = list(model.generate(asked(count), batch))
    assert all(result.status == "ok" and np.isfinite(result.trajectory_variance or np.nan) for result in made)
    return [result.png or b"" for result in made]


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=np.float32)


def difference(one: list[bytes], other: list[bytes]) -> float:
    """Mean absolute difference in grey levels."""
    return float(np.mean([np.abs(pixels(a) - pixels(b)).mean() for a, b in zip(one, other, strict=True)]))


@pytest.mark.parametrize(("dtype", "most"), [("float32", 1.5), ("float16", 4.0), ("bfloat16", 12.0)])
def test_a_gpu_draws_the_cpus_pictures(dtype: str, most: float) -> None:
    here = pictures("float32", "cpu")
    assert difference(pictures(dtype), here) < most < difference(here, here[::-1])


def test_the_same_requests_give_the_same_bytes_in_padded_batches() -> None:
    assert pictures("float16", count=11) == pictures("float16", count=11)
    assert pictures("float16", count=11)[:8] == pictures("float16", count=8)


def test_perp_neg_runs_in_float16() -> None:
    from fairshards.generators.diffusion.requests import Negative

    model = TextToImage.load(checkpoint_path("pocket-diffusion"), device="cuda", dtype="float16")
    plain = asked(4)
    led = [replace(request, negatives=(Negative(PROMPTS[0], -1.0),)) for request in plain]
    first, second = ([result.png or b"" for result in model.generate(each, 4)] for each in (plain, led))
    assert all(first) and all(second) and difference(first, second) > 1


def test_clip_embeds_alike() -> None:
    images = [Image.fromarray(pixels(png).astype(np.uint8)) for png in pictures("float32", "cpu", 4)]
    folder = str(checkpoint_path("pocket-clip"))
    here, there = (ClipModel.load(folder, device=device, batch_size=4) for device in ("cpu", "cuda"))
    assert (here.embed_images(images) * there.embed_images(images)).sum(1).min() > 0.999


def test_a_run_from_source_to_report_on_a_gpu(tmp_path: Path) -> None:
    small = (
        "filters={}",
        "training.methods=[erm, ffr]",
        "training.settings={main: {epochs: 2}}",
        "training.by_method={}",
    )
    recipe = load_recipe("pocket-waterbirds", [*ON_GPU, *SMALL_WORLD, *small])
    result = run(recipe, Launcher(), Reporter(quiet=True), "report", tmp_path / "run")
    assert result.generated >= 152 and len(result.judged) == 2
    again = run(recipe, Launcher(), Reporter(quiet=True), "report", tmp_path / "run")
    assert again.generated == 0 and not any(training.trained for training in again.judged)


def test_discovery_and_spurious_free_pictures_on_a_gpu(tmp_path: Path) -> None:
    small = (
        "discovery.device=cuda",
        "discovery.captioner.device=cuda",
        "discovery.extractor.device=cuda",
        "discovery.edits_per_phrase=6",
        "discovery.ranking.min_count=5",
        "discovery.max_phrases=2",
        "discovery.editor.steps=5",
        "discovery.editor.task_size=8",
        "discovery.editor.batch_size=8",
        "spurious_free.make=generate",
        "spurious_free.per_class=4",
        "spurious_free.personalise.steps=4",
        "spurious_free.personalise.batch_size=2",
        "filters={spurious_absence: {max: 0.99}}",
        "training.settings={main: {epochs: 6}}",
        "training.by_method={}",
    )
    recipe = load_recipe("pocket-aspire", [*ON_GPU, *SMALL_WORLD, *small])
    result = run(recipe, Launcher(), Reporter(quiet=True), "report", tmp_path / "run")
    assert result.prepared.discovered and {phrase.phrase for phrase in result.prepared.discovered.spurious} >= {
        "land",
        "water",
    }
    with Catalog.open(tmp_path / "run") as catalog:
        kept = catalog.con.execute("SELECT count(*) FROM shard_index WHERE g = 1").fetchall()[0][0]
    assert kept == 8 and {training.name for training in result.judged} == {"ERM", "ASPIRE+ERM", "ASPIRE+DFR"}


def test_a_bt_gan_learns_and_draws_on_a_gpu(tmp_path: Path) -> None:
    """The same seed gives the same rows there twice, and its file draws nearly the same ones on the CPU."""
    checked = check_cohort(support2(), "race", 0.3, 0)
    settings = BtGanSettings("race", "odds", 1.0, steps=600, stage2_steps=100, window=200, device="cuda")
    models = [fit(checked.schema, checked.train, settings).model for _ in range(2)]
    drawn = [model.sample(500, 1) for model in models]
    assert drawn[0].equals(drawn[1])
    models[0].save(tmp_path / "model.safetensors")
    there = BtGan.load(tmp_path / "model.safetensors")
    y = np.arange(500, dtype=np.int64) % 2
    seeds = np.arange(500, dtype=np.uint64)
    rows = [model.draw(y, np.zeros(500, np.int64), seeds).rows for model in (models[0], there)]
    same = (rows[0] == rows[1]) | (rows[0].isna() & rows[1].isna())
    assert same.to_numpy().mean() > 0.99
