"""The recipes that are recorded, small enough for a test, and the commands that run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"
RECIPES: dict[str, tuple[str, ...]] = {
    "pocket-waterbirds": (
        "source.n_train=24", "source.val_min_group=1", "source.test_per_group=2", "source.bias_ratio=0.9",
        "quota.per_group=5", "quota.surplus=0", "quota.shard_size=5", "quota.max_rounds=5",
        "generator.steps=2", "generator.window=2", "generator.batch_size=5",
        "scorer.batch_size=5", "scorer.segmenter.batch_size=5", "training.methods=[erm, ffr]",
        "training.by_method={erm: {main: {lr: 0.001}}, ffr: {finetune: {lr: 0.00001}}}",
        "training.settings={main: {epochs: 1}, pretrain: {epochs: 1}, finetune: {epochs: 1}}",
    ),
    "pocket-aspire": (
        "source.n_train=100", "source.val_min_group=2", "source.test_per_group=3",
        "discovery.splits=[train]", "discovery.edits_per_phrase=6", "discovery.ranking.min_count=5",
        "discovery.max_phrases=2", "discovery.editor.steps=4", "discovery.editor.task_size=12",
        "discovery.editor.batch_size=6", "discovery.task_size=64", "spurious_free.per_class=8",
        "spurious_free.personalise.steps=2", "spurious_free.personalise.batch_size=2",
        "generator.steps=2", "generator.batch_size=4", "generator.window=2",
        "quota.surplus=0", "quota.shard_size=4", "quota.max_rounds=2",
        "filters={spurious_absence: {max: 0.99}, shortcut_left: {}}",
        "training.methods=[erm, aspire-erm]", "training.by_method={}", "training.settings={main: {epochs: 4}}",
    ),
    "btgan_support2": (
        "model.settings={steps: 40, stage2_steps: 10, window: 20, snapshot: 5, hidden: 16, depth: 1, batch: 64, "
        "classifier_steps: 20}",
        "quota.rows=200", "quota.shard_size=100", "quota.max_rounds=2", "quota.curated_shard_size=60",
        "evaluation.bootstrap=5", "webdataset=true",
    ),
}  # fmt: skip


def environment() -> dict[str, str]:
    """Return this process's environment with one thread everywhere: more of them may add in another order."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def run(recipe: str, folder: Path, *settings: str, cwd: Path | None = None) -> None:
    """Run ``fairshards run`` in a process of its own and expect it to succeed.

    Raises:
        AssertionError: with all that it said.
    """
    sets = [part for setting in ("runner.threads=1", *settings) for part in ("--set", setting)]
    command = [sys.executable, "-m", "fairshards", "run", recipe, "--quiet", "--output", str(folder), *sets]
    ended = subprocess.run(command, env=environment(), cwd=cwd, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{' '.join(command)}\n{ended.stdout}\n{ended.stderr}"
