"""The audit of phrases: I(phrase; class) in bits before and after augmentation.

The estimate is that of docs/methods.md#association-of-phrase-and-class.

What is in the kept synthetic samples is asked of the models that were asked about the real images: captioner and
extractor read every curated shard. So a spurious phrase that slipped past the filters is counted, not presumed absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fairshards.catalogs.manifests import manifest, places
from fairshards.catalogs.manifests.identity import TASK_DIGITS, task_hash
from fairshards.pipeline.discovery.association import CaptionedImage, Phrase, Presence, bits, presences
from fairshards.pipeline.discovery.language import language_stage
from fairshards.pipeline.discovery.phrases_found import KINDS
from fairshards.pipeline.discovery.stage import Discovered
from fairshards.pipeline.pictures.discovery_models import DiscoverySpecs
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.run.context import Run
from fairshards.pipeline.synthesis.curate import Curated
from fairshards.trainers.methods.mixes import VALIDATION

Row = Mapping[str, Any]
VERSION = "audit/1"


def phrase_audit(
    run: Run[Recipe], index: str, found: Discovered, curated: Curated, specs: DiscoverySpecs
) -> dict[str, str]:
    """Describe the curated samples, commit the bits of every ranked phrase, and return manifests with content hashes.

    A generated validation set is left out: it augments nothing. The captions of samples are listed for the current
    curation only: two curations may keep the same sample.

    Raises:
        RecipeError: no sample got a caption, or no caption a phrase.
    """
    folder = run.folder
    rows = manifest.read_rows(folder.root / curated.index)[1]
    splits = tuple(sorted({row["split"] for row in rows} - set(VALIDATION)))
    looks = replace(specs, captioner=replace(specs.captioner, splits=splits))
    manifests, captions, phrases = language_stage(run, curated.index, rows, looks)
    train = {row["sample_id"] for row in manifest.read_rows(folder.root / index)[1] if row["split"] == "train"}
    real = [image for image in found.found.images if image.source_id in train]
    names = {phrase.text: phrase.group for image in found.found.images for phrase in image.phrases}
    added = described(rows, captions, phrases, names)
    ranked = sorted({one.phrase for one in found.ranked})
    bits_of = [{"curation_id": curated.curation_id, **row} for row in audited(real, added, ranked)]
    inputs = [curated.manifests[curated.index]]
    hashed = task_hash("audit", VERSION, ranked, [*inputs, *found.manifests.values(), *manifests.values()])
    name = f"{places.CURATED}{curated.curation_id}/phrases-{hashed[:TASK_DIGITS]}.parquet"
    head = folder.commit(name, "audit", "phrases", bits_of, task_hash=hashed, inputs=inputs)
    return {**manifests, name: head.content_sha256}


def described(
    rows: Sequence[Row], captions: Iterable[Row], phrases: Iterable[Row], names: Mapping[str, str]
) -> list[CaptionedImage]:
    """Return the samples whose caption was usable, with their phrases in the groups that the real images' have.

    ``names`` gives a known phrase's group; a phrase that no real image has is a group of its own.
    """
    captioned = {row["source_id"] for row in captions if row["status"] == "ok"}
    own: dict[str, list[Phrase]] = {}
    for row in phrases:
        if row["status"] == "ok" and row["kind"] in KINDS:
            said = Phrase(row["phrase"], names.get(row["phrase"], row["phrase"]), row["kind"])
            own.setdefault(row["source_id"], []).append(said)
    return [
        CaptionedImage(row["sample_id"], row["y"], tuple(own.get(row["sample_id"], ())))
        for row in rows
        if row["sample_id"] in captioned
    ]


def audited(
    real: Sequence[CaptionedImage], added: Sequence[CaptionedImage], phrases: Iterable[str]
) -> list[dict[str, Any]]:
    """Return of every phrase group how many real and synthetic images hold it, and its bits without and with these."""
    before, after = presences(real), presences([*real, *added])
    alone = presences(added)

    def held(counted: Mapping[str, Presence], phrase: str) -> int:
        return sum(counted[phrase].holding.values()) if phrase in counted else 0

    return [
        {
            "phrase": phrase,
            "real": len(real),
            "real_holding": held(before, phrase),
            "synthetic": len(added),
            "synthetic_holding": held(alone, phrase),
            "bits_before": bits(before[phrase]) if phrase in before else 0.0,
            "bits_after": bits(after[phrase]) if phrase in after else 0.0,
        }
        for phrase in phrases
    ]
