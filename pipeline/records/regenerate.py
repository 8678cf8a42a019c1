"""Verifying rows of health records: the model is the one that was committed, and drawn again its rows are the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fairshards.catalogs.cohorts.unquoted import unquoted
from fairshards.catalogs.manifests import manifest, places
from fairshards.catalogs.manifests.identity import digest
from fairshards.catalogs.manifests.manifest import Head
from fairshards.generators.tables.bt_gan import BtGan, fingerprint, row_seeds
from fairshards.pipeline.records.fit import MODEL
from fairshards.pipeline.run.checks import Regenerated
from fairshards.pipeline.run.folder import RunFolder
from fairshards.transforms.records.shard import row_digests


def check_model(path: Path, head: Head) -> Iterator[str]:
    """Yield what is wrong with the model of a fit manifest."""
    if not path.is_file():
        yield f"{path} is missing; run the recipe again to train it"
    elif (found := fingerprint(path.read_bytes())) != head.settings["fingerprint"]:
        yield (
            f"{path} has fingerprint {found[:12]}, committed was {head.settings['fingerprint'][:12]}; delete it and "
            "run the recipe again"
        )


@unquoted("drawing rows again")
def redrawn(folder: RunFolder, samples: int) -> Regenerated:
    """Draw ``samples`` rows again, chosen by hash, and say which of them differ from what was committed."""
    plans = [
        row
        for name in folder.current()
        if name.startswith(places.PLAN)
        for row in manifest.read_rows(folder.root / name)[1]
    ]
    stored = {
        row["sample_id"]: row["image_sha256"]
        for name in folder.current()
        if name.startswith(places.RAW)
        for row in manifest.read_rows(folder.root / name)[1]
    }
    made = {row["sample_id"]: row for row in plans if row["sample_id"] in stored}
    chosen = sorted(made.values(), key=lambda row: digest(["verify", row["sample_id"]]))[:samples]
    problems, models = [], _models(folder)
    for known in sorted({row["generator_fingerprint"] for row in chosen}):
        own = [row for row in chosen if row["generator_fingerprint"] == known]
        if known not in models:
            problems.append(f"the model {known[:12]} of {len(own)} rows is not in this run any more")
            continue
        model = BtGan.load(models[known])
        y, s = (np.array([row[name] for row in own], dtype=np.int64) for name in ("y", "b"))
        drawn = model.draw(y, s, row_seeds([row["noise_seed"] for row in own]))
        found = row_digests(drawn.rows, model.encoding.schema)
        problems += [
            f"row {row['sample_id']} is another one when it is drawn again"
            for row, checksum in zip(own, found, strict=True)
            if checksum != stored[row["sample_id"]]
        ]
    return Regenerated(problems, f"{len(chosen)} rows drawn again: {len(problems)} differ")


def _models(folder: RunFolder) -> dict[str, Path]:
    """Return the current models' files by fingerprint."""
    names = [name for name in folder.current() if name.startswith(places.MODELS)]
    return {
        manifest.read_head(folder.root / name).settings["fingerprint"]: (folder.root / name).parent / MODEL
        for name in names
    }
