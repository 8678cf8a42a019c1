"""What a personalisation leaves behind: weights, settings, and the manifest that commits it."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from fairshards.catalogs.manifests.identity import TASK_DIGITS, digest, task_hash
from fairshards.catalogs.manifests.manifest import Head, encode, read_head, write_local
from fairshards.generators.checkpoints.model_files import library_versions
from fairshards.trainers.classifiers.record import file_sha256
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.core.index import Sample
from fairshards.trainers.personal.settings import Concept, PersonaliseSettings

STAGE, VERSION = "personalise", "personalise-1"
"""The version is bumped when the result changes for the same settings, model and pictures."""
MANIFEST, SETTINGS = "personal.parquet", "settings.json"


@dataclass(frozen=True)
class Personalised:
    """A committed personalisation; its ``folder`` is what ``TextToImage.load(personal=...)`` takes.

    ``token`` is how prompts say the concept, ``fingerprint`` stands for the weights (64 hex digits).
    ``loss_first`` and ``loss_last`` are mean losses over the first and the last tenth of the steps.
    ``trained`` is False when it was committed before and nothing was done.
    """

    personal_id: str
    folder: Path
    trained: bool
    concept: Concept
    method: str
    steps: int
    loss_first: float
    loss_last: float
    weights: Path
    fingerprint: str
    head: Head

    @property
    def token(self) -> str:
        """How prompts say the concept."""
        return self.concept.token


def personal_hash(
    settings: PersonaliseSettings, concept: Concept, model_fingerprint: str, pictures: Sequence[Sample]
) -> str:
    """Return the 64 hex digits that stand for a personalisation: settings, concept, model, pictures in order."""
    said = {
        "settings": settings.identity(),
        "concept": asdict(concept),
        "model": model_fingerprint,
        "pictures": [picture.image_sha256 for picture in pictures],
    }
    return task_hash(STAGE, VERSION, [picture.sample_id for picture in pictures], (), said)


def personal_folder(run_dir: Path, task: str) -> Path:
    """Return the folder of a personalisation inside a run's folder."""
    return run_dir / "personal" / task[:TASK_DIGITS]


def committed(folder: Path, task: str) -> bool:
    """Return whether the folder holds a committed personalisation of this task, with its weights."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return False
    head = read_head(manifest)
    return head.task_hash == task and (folder / head.settings["weights"]["file"]).is_file()


def read_personalised(folder: Path, trained: bool = False) -> Personalised:
    """Return the personalisation that the folder's manifest commits, its weights checked.

    Raises:
        catalogs.manifest.ManifestError: there is no manifest, or a damaged one.
        TrainerError: the manifest is another stage's, or the weights aren't those that were committed.
    """
    head = read_head(folder / MANIFEST)
    if head.stage != STAGE:
        raise TrainerError(f"{folder / MANIFEST} is a manifest of stage {head.stage!r}; expected {STAGE!r}")
    said = head.settings
    weights, sha256 = folder / said["weights"]["file"], said["weights"]["sha256"]
    if file_sha256(weights) != sha256:
        raise TrainerError(f"{weights} was changed after its commit; delete {folder} and personalise again")
    concept = Concept(**said["concept"])
    stands_for = digest({"method": said["method"], "token": concept.token, "weights": sha256})
    return Personalised(
        head.task,
        folder,
        trained,
        concept,
        said["method"],
        said["steps"],
        said["loss_first"],
        said["loss_last"],
        weights,
        stands_for,
        head,
    )


def commit(
    folder: Path,
    task: str,
    concept: Concept,
    pictures: Sequence[Sample],
    said: Mapping[str, Any],
    attempt: Mapping[str, Any],
) -> None:
    """Write the manifest, the one commit point: one row a picture, all else in its head."""
    name = task[:TASK_DIGITS]
    rows = [
        {
            "personal_id": name,
            "concept": concept.name,
            "token": concept.token,
            "position": position,
            "sample_id": picture.sample_id,
            "image_sha256": picture.image_sha256,
        }
        for position, picture in enumerate(pictures)
    ]
    head = Head(STAGE, name, task, VERSION, (), None, said)
    data, _ = encode(head, rows, {**attempt, "host": platform.node(), "threads": torch.get_num_threads()})
    write_local(folder / MANIFEST, data)


def account(
    settings: PersonaliseSettings, concept: Concept, model_fingerprint: str, losses: tuple[float, float], weights: Path
) -> dict[str, Any]:
    """Return what the manifest's head says (no timings: these are the attempt's)."""
    first, last = losses
    return {
        "method": settings.method,
        "concept": asdict(concept),
        "seed": settings.seed,
        "steps": settings.steps,
        "loss_first": first,
        "loss_last": last,
        "settings": settings.identity(),
        "model_fingerprint": model_fingerprint,
        "weights": {"file": weights.name, "sha256": file_sha256(weights)},
        "versions": library_versions(("torch", "diffusers", "transformers", "peft")),
    }
