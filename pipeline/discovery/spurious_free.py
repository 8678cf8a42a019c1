"""Spurious-free pictures (docs/methods.md#spurious-free-samples): the class, without what the classifier leans on.

Edits that changed the classifier's answer show a class without its spurious phrase; they teach a new word for the class
by textual inversion. Prompts with that word, led away from the phrases, make the pictures. Their bias value is unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fairshards.catalogs.manifests import manifest, places
from fairshards.catalogs.manifests.identity import TASK_DIGITS, digest, task_hash
from fairshards.filters.pictures.spurious_absence import PhraseContrast
from fairshards.generators.checkpoints.model_files import fingerprint, library_versions
from fairshards.pipeline.discovery.ranking import RankedPhrase
from fairshards.pipeline.discovery.stage import Discovered
from fairshards.pipeline.pictures.models import model_folder
from fairshards.pipeline.recipe.pictures import UNKNOWN_BIAS_ATTRIBUTE, ClassPrompt, Prompts, Recipe
from fairshards.pipeline.recipe.spurious_free import SpuriousFree
from fairshards.pipeline.run.context import Run
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.run.quota import Group, Quota
from fairshards.trainers.core.index import Sample
from fairshards.trainers.methods.discovered import discovered_name
from fairshards.trainers.personal.settings import TOKEN, Concept, PersonaliseSettings, personalise_settings_from
from fairshards.transforms.pictures.specs import GeneratorSpec, ScorerSpec, personalised_fingerprint

Row = Mapping[str, Any]


@dataclass(frozen=True)
class SpuriousFreeMaking:
    """How the pictures are made: the recipe with classes in their new words and no bias value, specs and quotas."""

    recipe: Recipe
    specs: tuple[GeneratorSpec, ScorerSpec]
    quotas: Mapping[Group, Quota]
    manifests: Mapping[str, str]


def spurious_free_making(
    run: Run[Recipe], settings: SpuriousFree, found: Discovered, specs: tuple[GeneratorSpec, ScorerSpec]
) -> SpuriousFreeMaking:
    """Personalise the generator and return what synthesis needs; what is committed is not trained again.

    Raises:
        TrainerError: a class can't be personalised.
    """
    recipe = run.recipe
    phrases = {y: top_phrases(found, settings, y) for y in range(len(recipe.classes))}
    taught = _personalised(run, settings, found, phrases)
    manifests = {name: sha for one in taught.values() for name, sha in one.manifests.items()}
    generator, scorer = specs
    folders = tuple(path for one in taught.values() for path in one.folders)
    prints = [print_ for one in taught.values() for print_ in one.fingerprints]
    if folders:
        generator = replace(
            generator, personal=folders, fingerprint=personalised_fingerprint(generator.fingerprint, prints)
        )
    contrasts = tuple(_contrast(recipe, settings, found, one) for own in phrases.values() for one in own)
    scorer = replace(
        scorer,
        contrasts=tuple({one.phrase: one for one in contrasts}.values()),
        training=str(found.training),
        training_fingerprint=found.training_sha256,
        reference_means=found.means,
    )
    words = {y: one.tokens for y, one in taught.items()}
    making = _making(recipe, settings, phrases, words)
    quota = dict.fromkeys(making.groups, Quota(settings.per_class, 0, recipe.quota.validation))
    return SpuriousFreeMaking(making, (generator, scorer), quota, manifests)


def top_phrases(found: Discovered, settings: SpuriousFree, y: int) -> tuple[RankedPhrase, ...]:
    """Return the first reported phrases of a class."""
    return tuple(phrase for phrase in found.spurious if phrase.y == y)[: settings.top]


def teaching_pictures(found: Discovered, settings: SpuriousFree, phrases: Sequence[RankedPhrase]) -> list[Row]:
    """Return the edits that teach a class: hits that succeeded, drawn by hash, the most from its first phrase."""
    chosen: list[Row] = []
    for number, phrase in enumerate(phrases):
        own = [
            row
            for row in found.edits
            if row["y"] == phrase.y and row["phrase_group"] == phrase.phrase and row["hit"] and row["succeeded"]
        ]
        most = settings.next_pictures if number else settings.first_pictures
        chosen += sorted(own, key=lambda row: digest(["teaches", row["edit_id"]]))[:most]
    return chosen[: settings.most_pictures]


@dataclass(frozen=True)
class _Taught:
    folders: tuple[str, ...]
    fingerprints: tuple[str, ...]
    tokens: tuple[str, ...]
    manifests: Mapping[str, str]


def _personalised(
    run: Run[Recipe], settings: SpuriousFree, found: Discovered, phrases: Mapping[int, Sequence[RankedPhrase]]
) -> dict[int, _Taught]:
    """Teach the generator every class that has pictures for it, once a seed."""
    if settings.personalise is None or settings.make == "edit":
        return {}
    base = personalise_settings_from({"resolution": run.recipe.generator.height, **settings.personalise})
    taught = {}
    for y, own in phrases.items():
        rows = teaching_pictures(found, settings, own)
        if rows:
            samples = [_sample(run.folder, row) for row in rows]
            taught[y] = _teach(run, settings, base, y, samples)
    return taught


def _teach(
    run: Run[Recipe], settings: SpuriousFree, base: PersonaliseSettings, y: int, samples: Sequence[Sample]
) -> _Taught:
    from fairshards.trainers.personal.personalise import personalise

    recipe, folder, report = run.recipe, run.folder, run.report
    name, made = recipe.classes[y].name, []
    generator = recipe.generator
    model = model_folder(generator.model, generator.revision, generator.allow_pickle)
    weights = fingerprint(model, library_versions())
    for number in settings.seeds:
        concept = Concept(name, f"<{word_for(recipe, y)}-{number}>", recipe.classes[y].wordings[0])
        done = [0]
        with report.watch(f"teaching {name} from {len(samples)} edits", base.steps, lambda done=done: done[0]):  # type: ignore[misc]
            made.append(
                personalise(
                    folder.root,
                    model,
                    weights,
                    replace(base, seed=number),
                    concept,
                    samples,
                    lambda step, *_, done=done: done.__setitem__(0, step),
                )
            )
            done[0] = base.steps
    names = [(one.folder / "personal.parquet").relative_to(folder.root).as_posix() for one in made]
    manifests = {name: manifest.read_head(folder.root / name).content_sha256 for name in names}
    return _Taught(
        tuple(str(one.folder) for one in made),
        tuple(one.fingerprint for one in made),
        tuple(one.token for one in made),
        manifests,
    )


def word_for(recipe: Recipe, y: int) -> str:
    """Return what the new word of a class is made of: its name, or its number where that gives no word of its own."""
    own = slug(recipe.classes[y].name)
    alike = sum(slug(value.name) == own for value in recipe.classes)
    return own if alike == 1 and TOKEN.fullmatch(f"<{own}>") else f"class-{y}"


def slug(name: str) -> str:
    """Return a class name as a token may hold it: lower-case letters, digits and hyphens."""
    return "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in name.lower()) or "class"


def _sample(folder: RunFolder, row: Row) -> Sample:
    return Sample(
        row["edit_id"],
        "edit",
        row["y"],
        row["class_name"],
        -1,
        "unknown",
        f"{row['class_name']}|unknown",
        1,
        folder.root / "edits" / row["shard"],
        row["offset"],
        row["size"],
        row["image_sha256"],
    )


def _making(
    recipe: Recipe,
    settings: SpuriousFree,
    phrases: Mapping[int, Sequence[RankedPhrase]],
    words: Mapping[int, tuple[str, ...]],
) -> Recipe:
    """Return the recipe as synthesis follows it: new words for classes, no bias value, negatives by class.

    Where edits alone are the pictures, it has no rounds of generating.
    """
    classes = tuple(
        value.model_copy(update={"words": words[y]}) if words.get(y) else value
        for y, value in enumerate(recipe.classes)
    )
    by_class = {
        value.name: _class_prompt(recipe, settings, value.wordings[0], phrases[y]) for y, value in enumerate(classes)
    }
    prompts = Prompts(templates=settings.templates, negative=recipe.prompts.negative, by_class=by_class)
    rounds = 0 if settings.make == "edit" else recipe.quota.max_rounds
    changes = {
        "classes": classes,
        "bias": UNKNOWN_BIAS_ATTRIBUTE,
        "pairs": (),
        "prompts": prompts,
        "quota": recipe.quota.model_copy(update={"max_rounds": rounds}),
    }
    return recipe.model_copy(update=changes)


def _class_prompt(recipe: Recipe, settings: SpuriousFree, word: str, phrases: Sequence[RankedPhrase]) -> ClassPrompt:
    said = [settings.negative.format(**{"phrase": one.phrase, "class": word}) for one in phrases]
    spurious = tuple(one.phrase for one in phrases)
    if settings.guidance == "perp-neg":
        weighted = tuple((text, settings.weight) for text in said)
        return ClassPrompt(negative=None, negatives=weighted, spurious=spurious)
    plain = ", ".join(filter(None, (recipe.prompts.negative, *said)))
    told = plain if settings.guidance == "negative-prompt" else None
    return ClassPrompt(negative=told, negatives=(), spurious=spurious)


def _contrast(recipe: Recipe, settings: SpuriousFree, found: Discovered, phrase: RankedPhrase) -> PhraseContrast:
    """Return how CLIP tells pictures with a phrase: a background from what replaced it, an object from none."""
    own = Counter(row["replacement"] for row in found.edits if row["phrase_group"] == phrase.phrase)
    alternative = next((text for text, _ in own.most_common() if text), "")
    words = {"class": recipe.classes[phrase.y].wordings[0], "phrase": phrase.phrase, "alternative": alternative}
    behind = phrase.kind == "background"
    present = settings.background_present if behind else settings.object_present
    absent = settings.background_absent if behind else settings.object_absent
    return PhraseContrast(
        phrase.phrase, tuple(text.format(**words) for text in present), tuple(text.format(**words) for text in absent)
    )


def commit_groups(run: Run[Recipe], found: Discovered, index: Sequence[Row]) -> Path:
    """Commit the discovered groups, class x top phrase, of every captioned real image; return the manifest's path."""
    recipe = run.recipe
    top = {y: next((one.phrase for one in found.spurious if one.y == y), None) for y in range(len(recipe.classes))}
    split = {row["sample_id"]: row["split"] for row in index}
    rows = []
    for image in found.found.images:
        name, phrase = recipe.classes[image.y].name, top[image.y]
        present = phrase in image.groups if phrase else False
        group = discovered_name(name, phrase, present)
        rows.append(
            {
                "source_id": image.source_id,
                "split": split[image.source_id],
                "y": image.y,
                "class_name": name,
                "phrase": phrase,
                "present": present,
                "group_name": group,
            }
        )
    inputs = list(found.manifests.values())
    hashed = task_hash("groups", "groups/1", [row["source_id"] for row in rows], inputs)
    file = f"{places.DISCOVERY}groups-{hashed[:TASK_DIGITS]}.parquet"
    head = run.folder.commit(file, "groups", "groups", rows, task_hash=hashed, inputs=inputs)
    run.current[file] = head.content_sha256
    return run.root / file
