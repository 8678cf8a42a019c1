"""A run folder with a source shard and a plan of edits, a tiny reference training, and specs of tiny real models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fairshards.catalogs.manifests.identity import digest, noise_seed, sample_id
from fairshards.catalogs.manifests.manifest import Head, encode, write_local
from fairshards.generators.images import encode_png
from fairshards.trainers.classifiers.models import build_model
from fairshards.trainers.classifiers.settings import TrainSettings
from fairshards.trainers.core.checkpoint import save_weights
from fairshards.transforms.edits.specs import EditorSpec, EditSpec, EditTestSpec
from fairshards.transforms.pictures.specs import SegmenterSpec
from fairshards.transforms.shards.tars import ShardSample, sha256, write_shard
from tests.tiny_editors import write_tiny_clipseg, write_tiny_instruct
from tests.tiny_models import write_tiny_clip, write_tiny_diffusion

CLASSES = ("landbird", "waterbird")
PLAN = "plan/edits.parquet"
Row = dict[str, Any]


def write_models(root: Path) -> Path:
    """Write every tiny model that the stages need, and a reference training, and return the folder."""
    write_tiny_diffusion(root / "diffusion")
    write_tiny_instruct(root / "instruct")
    write_tiny_clipseg(root / "clipseg")
    write_tiny_clip(root / "clip")
    write_training(root / "training")
    return root


def write_training(folder: Path, classes: Sequence[str] = CLASSES, image_size: int = 24) -> Path:
    """Write what a finished training leaves, with fresh weights whose answers depend on the picture."""
    settings = TrainSettings("erm", image_size=image_size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(settings.model, len(classes))
    model.network[-1].weight.data.mul_(50)  # type: ignore[index]
    folder.mkdir(parents=True)
    (folder / "settings.json").write_text(json.dumps({"settings": asdict(settings), "classes": list(classes)}))
    save_weights(folder / "model.safetensors", model.state_dict(), {})
    return folder


def edit_spec(models: Path, kind: str = "inpaint", **segmenter: Any) -> EditSpec:
    """Return the edit stage's spec for the tiny models; the limits of masks are wide, since they are untrained."""
    limits = {"min_share": 0.0, "max_share": 1.0, "threshold": 0.5, "batch_size": 2, **segmenter}
    segments = SegmenterSpec(str(models / "clipseg"), "s" * 64, **limits)
    folder = models / ("diffusion" if kind == "inpaint" else "instruct")
    editor = EditorSpec(kind, str(folder), "e" * 64, batch_size=2)  # type: ignore[arg-type]
    return EditSpec(editor, segments if kind == "inpaint" else None, device="cpu")


def edit_test_spec(models: Path, **changes: Any) -> EditTestSpec:
    """Return the edit test's spec for the tiny models."""
    return EditTestSpec(str(models / "training"), "t" * 64, str(models / "clip"), "c" * 64, "cpu", 3, **changes)


def write_plan(run: Path, editor: str = "inpaint", count: int = 5, tasks: int = 1, bad: int | None = None) -> list[Row]:
    """Write a source shard, and a plan of ``count`` edits a task; source ``bad`` is no picture. Return the rows."""
    random = np.random.default_rng(0)
    pictures = [encode_png(random.integers(0, 256, (32 + 8 * (n % 2), 40, 3), dtype=np.uint8)) for n in range(count)]
    if bad is not None:
        pictures[bad] = b"no picture at all"
    ids = [digest(["source", n])[:32] for n in range(count)]
    tar, places = write_shard(
        ShardSample(name, data, "png", 0, {}, "") for name, data in zip(ids, pictures, strict=True)
    )
    write_local(run / "source" / "train-000000.tar", tar)
    rows = [
        edit_row(task, number, ids[number], pictures[number], places[ids[number]], editor)
        for task in range(tasks)
        for number in range(count)
    ]
    head = Head("edit_plan", "edits", digest(rows))
    write_local(run / PLAN, encode(head, rows, {})[0])
    return rows


def edit_row(task: int, number: int, source: str, data: bytes, place: tuple[int, int], editor: str) -> Row:
    """Return one row of the edit plan: odd ones replace the background, even ones remove an object."""
    kind = "background" if number % 2 else "foreground"
    phrase, replacement = ("a lake", "a desert") if number % 2 else ("a reed", None)
    phrase += f" {task}" * bool(task)
    asked = {
        "source_id": source,
        "y": number % 2,
        "class_name": CLASSES[number % 2],
        "kind": kind,
        "phrase": phrase,
        "phrase_group": phrase.split()[1],
        "replacement": replacement,
        "mask_phrase": "a bird" if number % 2 else phrase,
        "keep_phrases": ["a buoy"] if number % 2 else [],
        "editor": editor,
        "prompt": replacement or "",
        "negative_prompt": "",
        "steps": 2,
        "guidance_scale": 2.0,
        "eta": 0.0,
    }
    return {
        "edit_id": sample_id(asked, "e" * 64),
        "noise_seed": noise_seed(asked),
        "task": f"edits-{task:04d}",
        **asked,
        "editor_fingerprint": "e" * 64,
        "settings": "{}",
        "source_shard": "source/train-000000.tar",
        "source_offset": place[0],
        "source_size": place[1],
        "source_sha256": sha256(data),
    }
