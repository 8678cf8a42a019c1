"""A life story as text for a terminal."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from fairshards.catalogs.questions.explain import LifeStory

Facts = dict[str, Any]
Line = tuple[str, str]
COMPARED = ("duplicate_in_group", "duplicate_of_real", "silhouette_distance")
"""Scores whose label is the id of the nearest other picture; of the others it is a judge's answer."""
WORDS = {"violations": "the first is"}
"""Of other scores whose label is no judge's answer: what stands before it."""
SHOWN_PICTURES = 3
_SUFFIXES = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg", b"RIFF": "webp"}


def render(story: LifeStory, console: Console) -> None:
    """Print a story: one block a step, with commands that take the picture out of its tar."""
    console.print(Text(f"{story.sample_id}  {story.kind}  {story.group_name or ''}".rstrip(), style="bold"))
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="cyan")
    table.add_column(overflow="fold")
    for label, text in lines(story):
        table.add_row(Text(label), Text(text))
    console.print(table)


def lines(story: LifeStory) -> Iterator[Line]:
    """Yield (label, text) pairs; a label is empty where the line goes on with what stands above."""
    yield from _origin(story)
    for facts in story.of("glimpsed"):
        seen = ", ".join(
            f"{name} {facts[name]:.4f}"
            for name in ("clip_alignment", "judge_class", "judge_bias")
            if facts[name] is not None
        )
        verdict = "not finished" if facts["pruned"] else "worth finishing"
        yield "previewed", f"at step {facts['step']}: {seen}; {verdict}"
    for facts in story.of("generated"):
        if _is_row(facts):
            yield "generated", _place(facts)
            yield "row", show_command(story, facts)
            continue
        yield "generated", f"{_place(facts)}, {facts['width']}x{facts['height']} pixels"
        yield "", f"trajectory variance {_number(facts['trajectory_variance'])}"
        yield "picture", extract_command(story, facts)
    for facts in story.of("rejected"):
        yield "rejected", f"by stage {facts['stage']}: {facts['reason']}. {facts['detail'] or ''}".rstrip()
    for facts in story.of("scored"):
        word = "nearest to" if facts["score"] in COMPARED else WORDS.get(facts["score"], "judged")
        answer = f", {word} {facts['label']!r}" if facts["label"] is not None else ""
        yield "scored", f"{facts['score']} {_number(facts['value'])}{answer}"
    yield from _curations(story)
    for facts in story.of("trained on"):
        yield from _training(facts)


def extract_command(story: LifeStory, facts: Facts) -> str:
    """Return a shell command that takes the image's bytes out of the tar, which isn't read as a tar."""
    shard = facts["shard"]
    if shard is None:
        return "none"
    if "://" in shard:
        return f"bytes {facts['offset']} to {facts['offset'] + facts['size'] - 1} of {shard}"
    path = story.run_dir / shard
    name = f"{story.sample_id}.{_suffix(path, facts['offset'])}"
    return f"tail -c +{facts['offset'] + 1} {shlex.quote(str(path))} | head -c {facts['size']} > {name}"


def show_command(story: LifeStory, facts: Facts) -> str:
    """Return a shell command that prints a row of health records."""
    path = story.run_dir / facts["shard"]
    query = f"FROM '{path}' WHERE {_key(path)} = '{story.sample_id}'"
    return f"python -c {shlex.quote(f'import duckdb; print(duckdb.sql({query!r}).df().T.to_string())')}"


def _key(path: Path) -> str:
    """Return the column of a shard of rows that holds their ids: its first one; a shard that is gone has no other."""
    with contextlib.suppress(OSError, pa.ArrowException):
        return str(pq.read_schema(path).names[0])
    return "sample_id"


def _is_row(facts: Facts) -> bool:
    return str(facts["shard"]).endswith(".parquet")


def _origin(story: LifeStory) -> Iterator[Line]:
    for facts in story.of("source"):
        yield "source", f"{facts['dataset']}, split {facts['split']}, key {facts['key']}"
        yield "", f"caption {facts['caption']!r}" if facts["caption"] else "no caption"
        yield "", _place(facts)
        yield "picture", extract_command(story, facts)
    for facts in story.of("captioned"):
        yield "captioned", f"{facts['caption']!r} by {facts['captioner']}"
    for facts in story.of("phrase"):
        yield "phrase", f"{facts['kind']} {facts['phrase']!r}"
    for facts in story.of("edited"):
        became = f"; it is sample {facts['edit_id']}" if facts["is_sample"] else ""
        yield "edited", f"{facts['kind']} {facts['phrase']!r}: {_outcome(facts)}{became}"
    for facts in story.of("made from"):
        yield "source", f"{facts['source_id']}: {facts['dataset']}, split {facts['split']}, key {facts['key']}"
        what = f"became {facts['replacement']!r}" if facts["replacement"] else "was removed"
        yield "edited", f"{facts['kind']} {facts['phrase']!r} {what}, by {facts['editor']}: {_outcome(facts)}"
        yield "", f"mask {facts['mask_share']:.1%} of the picture, rho {_number(facts['mask_attribution'])}"
    for facts in story.of("planned"):
        yield "planned", f"round {facts['round']}, task {facts['task']}, replicate {facts['replicate']}"
        model = f"{facts['generator']}, fingerprint {facts['generator_fingerprint']}"
        if story.kind == "ehr":
            yield "model", f"{model}, seed {facts['noise_seed']}"
            continue
        yield from _prompt(facts)
        yield "model", model
    for facts in story.of("taught"):
        yield from _taught(facts)


def _outcome(facts: Facts) -> str:
    """Return what an edit did to the reference classifier's answer."""
    if facts["reason"]:
        return f"not edited or not scored ({facts['reason']})"
    if facts["hit"] is None:
        return "not tested yet"
    moved = f"probability of its class {facts['probability_before']:.1%} to {facts['probability_after']:.1%}"
    return f"{'the prediction changed' if facts['hit'] else 'no change'}, {moved}"


def _prompt(facts: Facts) -> Iterator[Line]:
    yield "prompt", repr(facts["prompt"])
    if facts["negative_prompt"]:
        yield "negative", repr(facts["negative_prompt"])
    if facts["negatives"]:
        said = ", ".join(f"{prompt!r} (weight {_number(weight)})" for prompt, weight in _listed(facts["negatives"]))
        yield "Perp-Neg", f"away from {said}"
    if facts["spurious"]:
        yield "free of", ", ".join(map(repr, _listed(facts["spurious"])))
    yield (
        "sampler",
        (
            f"{facts['steps']} steps, guidance {_number(facts['guidance_scale'])}, eta {_number(facts['eta'])}, "
            f"noise seed {facts['noise_seed']}"
        ),
    )


def _taught(facts: Facts) -> Iterator[Line]:
    """Tell where a word of the prompt comes from: the edited pictures that taught it, and their source images."""
    pictures = facts["pictures"] or []
    how = f"by {facts['method']}, {facts['steps']} steps on {len(pictures)} pictures"
    yield "taught", f"{facts['token']} ({facts['concept']}) {how}"
    for picture in pictures[:SHOWN_PICTURES]:
        what = f"{picture['phrase']} became {picture['replacement']}" if picture["replacement"] else "object removed"
        yield "", f"edit {picture['edit_id']} of source {picture['source_id']}: {what}"
    if len(pictures) > SHOWN_PICTURES:
        yield "", f"and {len(pictures) - SHOWN_PICTURES} more: table personal_pictures"


def _listed(value: Any) -> list[Any]:
    """Return a JSON column's list, which a view hands over as text or already read."""
    return list(json.loads(value) if isinstance(value, str) else value)


def _curations(story: LifeStory) -> Iterator[Line]:
    places = {facts["curation_id"]: facts for facts in story.of("indexed")}
    decided: dict[str, list[Facts]] = {}
    for facts in story.of("decided"):
        decided.setdefault(facts["curation_id"], []).append(facts)
    for curation, decisions in decided.items():
        lost = [facts for facts in decisions if not facts["keep"]]
        yield f"curation {curation}", "kept" if not lost else "not kept: " + ", ".join(map(_verdict, lost))
        yield "", "filters: " + ", ".join(map(_verdict, decisions))
    for curation, facts in places.items():
        label = f"curated {curation}" if facts["g"] else "indexed"
        yield label, f"split {facts['split']}, {_place(facts)}"


def _verdict(facts: Facts) -> str:
    return f"{facts['filter']} {'accepts' if facts['keep'] else 'rejects (' + str(facts['reason']) + ')'}"


def _training(facts: Facts) -> Iterator[Line]:
    certain = facts["used"] == facts["shard_samples"]
    used = "all" if certain else f"{facts['used']} (this one perhaps)"
    yield (
        f"training {facts['training_id']}",
        f"{facts['method']}, loss {facts['loss']}, seed {facts['seed']}, as {facts['use']}: "
        f"used {used} of the {facts['shard_samples']} samples in {facts['shard']}",
    )
    if facts["worst_group"]:
        yield (
            "",
            (
                f"its worst group on test: {facts['worst_group']} at {facts['accuracy']:.1%} "
                f"({facts['low']:.1%} to {facts['high']:.1%}, n = {facts['n']})"
            ),
        )


def _place(facts: Facts) -> str:
    if not facts["shard"]:
        return "no place"
    if _is_row(facts):
        return f"{facts['shard']}, row {facts['offset']}"
    return f"{facts['shard']} at byte {facts['offset']}, {facts['size']} bytes"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.6g}"


def _suffix(path: Path, offset: int) -> str:
    """Return the picture's file suffix by its first bytes; png where the tar isn't at hand."""
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            head = file.read(4)
    except OSError:
        return "png"
    return next((suffix for magic, suffix in _SUFFIXES.items() if head.startswith(magic)), "png")
