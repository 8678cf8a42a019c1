"""The fit stage: train the Bt-GAN on the cohort's training rows, once, and commit its log."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fairshards.catalogs.manifests import places
from fairshards.catalogs.manifests.identity import TASK_DIGITS, task_hash
from fairshards.catalogs.manifests.manifest import OWNER_ONLY, Head, encode, write_local
from fairshards.generators.tables.bt_gan import BtGan, fingerprint
from fairshards.pipeline.recipe.records import EhrRecipe
from fairshards.pipeline.records.cohort import CohortResult
from fairshards.pipeline.run.context import Run
from fairshards.trainers.tables.bt_gan import VERSION, fit

MODEL, CHECKPOINT, LOG = "bt-gan.safetensors", "checkpoint.safetensors", "fit.parquet"


@dataclass(frozen=True)
class FitResult:
    """A trained model: its file, its fingerprint, its manifest, and the (y, s) shares that it is asked for."""

    model: Path
    fingerprint: str
    manifests: dict[str, str]
    joint: NDArray[np.float64]

    def load(self, device: str = "cpu") -> BtGan:
        """Return the model."""
        return BtGan.load(self.model, device)


def fit_stage(run: Run[EhrRecipe], cohort: CohortResult) -> FitResult:
    """Train, or look up what was trained with these settings on these rows. A stopped training goes on.

    Raises:
        CohortError, TrainerError: the rows can't be learned from.
    """
    settings, folder, report = run.recipe.settings, run.folder, run.report
    inputs = list(cohort.manifests.values())
    task = task_hash("fit", VERSION, [], inputs, {**settings.identity, "rows": cohort.train_sha256})
    home = folder.root / "models" / task[:TASK_DIGITS]
    name = f"{places.MODELS}{task[:TASK_DIGITS]}/{LOG}"
    known = fingerprint((home / MODEL).read_bytes()) if (home / MODEL).is_file() else None
    head = folder.committed(name, task)
    if head is not None and head.settings["fingerprint"] == known:
        return _result(home, name, head)
    done = [0]
    started = time.time()
    with report.watch("training Bt-GAN", settings.steps + settings.stage2_steps, lambda: done[0]):
        rows = cohort.rows("train")
        fitted = fit(
            cohort.schema,
            rows,
            settings,
            home / CHECKPOINT,
            lambda step: done.__setitem__(0, step),
            cohort.people("train"),
        )
    known = fitted.model.save(home / MODEL)
    log = [{"model_id": task[:TASK_DIGITS], **asdict(one)} for one in fitted.log]
    said = {
        "settings": settings.identity,
        "fingerprint": known,
        "joint": fitted.model.joint.tolist(),
        "attribute": settings.attribute,
        "proxies": fitted.proxies,
        "rejection": fitted.model.rejection.to_json() if fitted.model.rejection else None,
    }
    head = Head("fit", task[:TASK_DIGITS], task, VERSION, tuple(inputs), None, said)
    seconds = time.time() - started
    data, sealed = encode(head, log, {"started": started, "seconds": seconds, "device": settings.device})
    write_local(home / LOG, data, OWNER_ONLY)
    (home / CHECKPOINT).unlink(missing_ok=True)
    steps = settings.steps + settings.stage2_steps
    report.say(
        f"Bt-GAN: {steps} steps of {settings.batch} rows in {seconds:.0f} s, "
        f"{steps * settings.batch / seconds:,.0f} training rows a second"
    )
    if fitted.proxies:
        shown = ", ".join(f"{column} {share:.2f}" for column, share in fitted.proxies.items())
        report.say(
            f"the constraint's classifier doesn't see what tells much of {settings.attribute} (share of its "
            f"entropy): {shown}"
        )
    return _result(home, name, sealed)


def _result(home: Path, name: str, head: Head) -> FitResult:
    joint = np.array(head.settings["joint"])
    return FitResult(home / MODEL, head.settings["fingerprint"], {name: head.content_sha256}, joint)
