"""Both sides of each stage's benchmark: the tasks through Beam, and the bare loop over the same pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from benchmarks.speed import bare_loops, generation
from benchmarks.speed.beam_side import BeamSide, StageSide
from benchmarks.speed.generation import Side
from benchmarks.speed.stage_inputs import EDITS, INDEX, Inputs, Row
from fairshards.catalogs.manifests import manifest
from fairshards.generators.editing.masks import scaled_radius
from fairshards.pipeline.pictures.discovery_models import edit_test_spec
from fairshards.pipeline.pictures.models import generator_spec, scorer_spec
from fairshards.trainers.classifiers.models import build_model
from fairshards.trainers.classifiers.settings import TrainSettings
from fairshards.trainers.core.checkpoint import save_weights
from fairshards.transforms.edits.edit import Edit, LazyEditor, edit_tasks
from fairshards.transforms.edits.edit_test import EditTest, LazyTester
from fairshards.transforms.language.caption import Caption, LazyCaptioner, caption_tasks
from fairshards.transforms.language.extract import Extract, LazyExtractor
from fairshards.transforms.pictures.generate import LazyGenerator
from fairshards.transforms.pictures.score import LazyScorer, Score
from fairshards.transforms.shards.tars import MASK, read_samples, sha256

Sides = tuple[Side, Side]


def caption(inputs: Inputs) -> Sides:
    """Captions of the pictures."""
    spec, root = inputs.specs.captioner, inputs.folder.root
    lazy = LazyCaptioner(spec)
    tasks = caption_tasks(inputs.folder.path, INDEX, inputs.index, spec, inputs.settings.task_size)
    side = StageSide(
        lazy,
        Caption,
        tasks,
        lambda: column(root / "captions", "source_id", inputs.pictures, "caption"),
        [root / "captions"],
    )
    model, files = lazy.captioner, list(inputs.pictures.values())
    size, longest = spec.model.batch_size, spec.model.decoding.max_new_tokens
    return side, lambda: bare_loops.caption(model.model, model.processor, files, size, longest)


def extract(inputs: Inputs) -> Sides:
    """Phrases of captions: the model's answers, read as JSON, in any order; the cache has them as they were said."""
    specs, root = inputs.specs, inputs.folder.root
    captioner, lazy = LazyCaptioner(specs.captioner), LazyExtractor(specs.extractor)
    tasks = caption_tasks(inputs.folder.path, INDEX, inputs.index, specs.captioner, inputs.settings.task_size)
    records = [Caption.do(task, captioner) for task in tasks]
    captions = column(root / "captions", "source_id", inputs.pictures, "caption")
    side = StageSide(
        lazy, Extract, records, lambda: in_order(answers(inputs.answers)), [root / "phrases", inputs.answers]
    )
    model, spec = lazy.model, specs.extractor.model
    size, longest = spec.batch_size, spec.decoding.max_new_tokens
    return side, lambda: in_order(bare_loops.extract(model.model, model.tokenizer, captions, size, longest))


def generate(inputs: Inputs) -> Sides:
    """Pictures from prompts, compared by their PNGs' SHA-256."""
    settings, model = inputs.recipe.generator, LazyGenerator(generator_spec(inputs.recipe)).model
    tasks = -(-len(inputs.index) // settings.batch_size)
    side = BeamSide(model, tasks, settings.steps, settings.height, settings.batch_size)
    asked = side.requests
    return side, lambda: list(map(sha256, generation.bare(model, asked, settings.batch_size)))


def score(inputs: Inputs) -> Sides:
    """CLIP's scores of pictures as if they were generated."""
    lazy, root = LazyScorer(scorer_spec(inputs.recipe)), inputs.folder.root
    records, plan = inputs.raw_records()
    scorer, clip = lazy.scorer, lazy.scorer.clip
    texts = {row["prompt"]: clip.embed_text(row["prompt"]) for row in plan}
    ids, files = [row["sample_id"] for row in plan], list(inputs.pictures.values())
    names = ("clip_alignment", "judge_class", "judge_bias", "grey_scale")

    def read() -> list[Any]:
        found = {(row["sample_id"], row["score"]): row["value"] for row in rows(root / "scores")}
        return [[found[sample, name] for name in names] for sample in ids]

    side = StageSide(lazy, Score, records, read, [root / "scores"])
    judges = scorer.classes.embeddings, scorer.biases.embeddings
    return side, lambda: bare_loops.score(clip, texts, *judges, files, plan)


def edit(inputs: Inputs) -> Sides:
    """Edited pictures, compared by their PNGs' SHA-256; None for a phrase that isn't found."""
    spec, root = inputs.specs.edit, inputs.folder.root
    plan, lazy = inputs.edit_rows(), LazyEditor(spec)
    tasks = edit_tasks(inputs.folder.path, EDITS, plan, spec)
    ids, files = [row["edit_id"] for row in plan], [inputs.pictures[row["source_id"]] for row in plan]
    side = StageSide(
        lazy, Edit, tasks, lambda: column(root / "edits", "edit_id", ids, "image_sha256"), [root / "edits"]
    )
    models, size = (lazy.segmenter, lazy.editor), spec.editor.batch_size
    assert spec.segmenter is not None
    radius = scaled_radius(spec.segmenter.dilate, *Image.open(files[0]).size)
    return side, lambda: list(map(sha256, bare_loops.edit(*models, radius, files, plan, size)))


def edit_test(inputs: Inputs) -> Sides:
    """Scores of edits: the reference classifier's, here one with fresh weights, and CLIP's."""
    settings, root = inputs.settings, inputs.folder.root
    plan, lazy = inputs.edit_rows(), LazyEditor(inputs.specs.edit)
    records = [Edit.do(task, lazy) for task in edit_tasks(inputs.folder.path, EDITS, plan, inputs.specs.edit)]
    training = write_training(root / "training", [value.name for value in inputs.recipe.classes])
    tester = LazyTester(edit_test_spec(inputs.recipe, settings, training, "t" * 64))
    files = unpacked(root)
    plan = [row for row in plan if row["edit_id"] in files]
    reference, clip = tester.models
    texts = {said: clip.embed_text(said) for row in plan for said in (row["phrase"], row["replacement"]) if said}
    paths = [(inputs.pictures[row["source_id"]], *files[row["edit_id"]]) for row in plan]
    scores = root / "edit_scores"
    side = StageSide(tester, EditTest, records, lambda: tested(scores, plan), [scores])
    return side, lambda: bare_loops.edit_test(reference, clip, texts, paths, plan)


STAGES: dict[str, Callable[[Inputs], Sides]] = {
    "caption": caption,
    "extract": extract,
    "generate": generate,
    "score": score,
    "edit": edit,
    "edit_test": edit_test,
}


def rows(folder: Path) -> list[Row]:
    """Return the rows of all manifests in a folder."""
    return [row for file in folder.glob("*.parquet") for row in manifest.read_rows(file)[1]]


def column(folder: Path, key: str, keys: Sequence[str] | Mapping[str, Any], name: str) -> list[Any]:
    """Return one value a key, from the manifests in a folder."""
    found = {row[key]: row[name] for row in rows(folder)}
    return [found[one] for one in keys]


def answers(cache: Path) -> list[Any]:
    """Return all answers in a cache, read as JSON."""
    return [json.loads(answer) for file in cache.rglob("*.json") for answer in json.loads(file.read_text())["answers"]]


def in_order(found: Sequence[Any]) -> list[Any]:
    """Return answers in the order of their text."""
    return sorted(found, key=json.dumps)


def tested(folder: Path, plan: Sequence[Row]) -> list[list[float]]:
    """Return the edit test's numbers, in the order of the plan."""
    found = {row["edit_id"]: row for row in rows(folder)}
    names = (
        "probability_before",
        "probability_after",
        "mask_attribution",
        "phrase_before",
        "phrase_after",
        "replacement_before",
        "replacement_after",
    )
    return [[value for name in names if (value := found[row["edit_id"]][name]) is not None] for row in plan]


def unpacked(root: Path) -> dict[str, tuple[Path, Path]]:
    """Write the run's edits and their masks into files, and return both by edit id."""
    files = {}
    for tar in (root / "edits").glob("*.tar"):
        for key, members in read_samples(tar.read_bytes()):
            files[key] = (root / "edited" / f"{key}.png", root / "edited" / f"{key}.mask.png")
            for file, member in zip(files[key], ("png", MASK), strict=True):
                manifest.write_local(file, members[member])
    return files


def write_training(folder: Path, classes: Sequence[str]) -> Path:
    """Write what a finished training of the reference leaves, with fresh weights."""
    settings = TrainSettings("erm")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(settings.model, len(classes))
    said = {"settings": asdict(settings), "classes": list(classes)}
    manifest.write_local(folder / "settings.json", json.dumps(said).encode())
    save_weights(folder / "model.safetensors", model.state_dict(), {})
    return folder
