"""Prompts before anything is made: whether models read them whole, and whether each group has its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

from fairshards.filters.pictures.clip_alignment import ClipAlignment
from fairshards.filters.pictures.group_judge import GroupJudge
from fairshards.generators.diffusion.personal import in_plain_words
from fairshards.generators.diffusion.prompt_length import TextReader, clip_readers, pipeline_readers
from fairshards.pipeline.pictures.models import judge_prompts
from fairshards.pipeline.recipe.pictures import UNKNOWN_BIAS_ATTRIBUTE, Recipe
from fairshards.pipeline.run.checks import Check, State
from fairshards.pipeline.run.quota import Group

Texts = Mapping[str, Sequence[str]]
"""Texts by the key that they come from."""


def as_made(recipe: Recipe) -> Recipe:
    """Return the recipe whose prompts make the pictures: of spurious-free ones by class, of the others itself."""
    if recipe.spurious_free is None:
        return recipe
    prompts = recipe.prompts.model_copy(update={"templates": recipe.spurious_free.templates})
    return recipe.model_copy(update={"bias": UNKNOWN_BIAS_ATTRIBUTE, "pairs": (), "prompts": prompts})


def distinct_prompts(recipe: Recipe) -> Check:
    """Check that no two groups can get the same prompt, unless a judge sorts what comes of it."""
    what, owner = "prompts of groups", dict[str, Group]()
    for group, said in _of_groups(recipe):
        for prompt in sorted(said):
            key = " ".join(prompt.casefold().split())
            if (other := owner.setdefault(key, group)) == group:
                continue
            shared = f"{recipe.group_name(*other)} and {recipe.group_name(*group)} can both get {prompt!r}"
            if GroupJudge.name in recipe.filters:
                return Check(what, "note", f"{shared}; only the filter group_judge tells their pictures apart")
            return Check(
                what,
                "problem",
                f"{shared}, so their pictures would be the same but for their label: name "
                "{class} and {bias} in every one of prompts.templates, give each class and bias value words "
                "of its own, or add the filter group_judge",
            )
    return Check(what, "ok", f"{len(owner)} different ones")


def generator_prompts(recipe: Recipe, folder: str) -> list[Check]:
    """Check that the pipeline's text encoders read every prompt and negative prompt whole."""
    own = {name: recipe.prompts.of_class(name) for name in (value.name for value in recipe.classes)}
    texts = {
        **_by_template(recipe),
        "prompts.negative": [recipe.prompts.negative],
        **{f"prompts.by_class.{name}.negative": [one.negative or ""] for name, one in own.items()},
        **{f"prompts.by_class.{name}.negatives": [text for text, _ in one.negatives] for name, one in own.items()},
    }
    return _lengths("length of prompts", texts, lambda: pipeline_readers(Path(folder)))


def editor_prompts(recipe: Recipe, folder: str) -> list[Check]:
    """Check what an editor is told as far as it is known before captions are; phrases come on top of it."""
    assert recipe.discovery is not None
    editor, what = recipe.discovery.editor, "length of the editor's prompts"
    form = "instruction" if editor.kind == "instruct" else "prompt"
    names = [f"{kind}_{form}" for kind in ("background", "foreground")]
    words = [value.wordings[0] for value in recipe.classes]
    blank = {"phrase": "", "replacement": "", "background": ""}
    texts = {
        f"discovery.editor.{name}": [getattr(editor, name).format(**{**blank, "class": word}) for word in words]
        for name in names
    }
    texts["discovery.editor.negative"] = [editor.negative]
    found = _lengths(what, texts, lambda: pipeline_readers(Path(folder)))
    return [one for one in found if one.state != "ok"] or [
        Check(what, "not checked", "whole so far; phrases are known once captions are")
    ]


def scorer_texts(recipe: Recipe, folder: str) -> list[Check]:
    """Check that CLIP reads what the judge asks whole, and the prompts that pictures are compared with."""
    scorer, prompts = recipe.scorer, _by_template(recipe)
    asked: dict[str, Sequence[str]] = {
        f"judge of class {value.name}": judge_prompts(value, scorer.class_prompts, "class") for value in recipe.classes
    }
    asked |= {
        f"judge of {recipe.bias.name} {value.name}": judge_prompts(value, scorer.bias_prompts, "bias")
        for value in recipe.bias.values
        if recipe.bias.known
    }
    asked |= {f"prompts.by_class.{name}.spurious": one.spurious for name, one in recipe.prompts.by_class.items()}
    if free := recipe.spurious_free:
        words, blank = [value.wordings[0] for value in recipe.classes], {"phrase": "", "alternative": ""}
        for key in ("background_present", "background_absent", "object_present", "object_absent"):
            asked[f"spurious_free.{key}"] = [
                template.format(**{**blank, "class": word}) for template in getattr(free, key) for word in words
            ]
    prune = recipe.generator.prune
    decides = ClipAlignment.name in recipe.filters or (prune is not None and prune.min_alignment is not None)
    read = [*_lengths("length of the judge's texts", asked, lambda: clip_readers(Path(folder)))]
    compared = "length of prompts for the score clip_alignment"
    return read + _lengths(compared, prompts, lambda: clip_readers(Path(folder)), "problem" if decides else "note")


def distinct_judges(recipe: Recipe) -> Check:
    """Check that the judge asks something of its own of each class and bias value."""
    what, scorer = "what the judge asks", recipe.scorer
    values = [(recipe.classes, scorer.class_prompts, "class")]
    values += [(recipe.bias.values, scorer.bias_prompts, "bias")] if recipe.bias.known else []
    for named, templates, field in values:
        owner: dict[tuple[str, ...], str] = {}
        for value in named:
            asked = tuple(sorted(set(judge_prompts(value, templates, field))))
            if (other := owner.setdefault(asked, value.name)) != value.name:
                state: State = "problem" if GroupJudge.name in recipe.filters else "note"
                return Check(
                    what,
                    state,
                    f"{other} and {value.name} are both asked for as {', '.join(asked)!r}: the "
                    f"judge can't tell them apart: name {{{field}}} in scorer.{field}_prompts, or give each "
                    "a judge prompt of its own",
                )
    return Check(what, "ok")


def _of_groups(recipe: Recipe) -> Iterator[tuple[Group, set[str]]]:
    for y, b in recipe.groups:
        words = product(recipe.prompts.templates, recipe.classes[y].wordings, recipe.bias.values[b].wordings)
        yield (y, b), {template.format(**{"class": one, "bias": other}) for template, one, other in words}


def _by_template(recipe: Recipe) -> dict[str, list[str]]:
    """Return every prompt that a template can become; of a new word for a class the class's name."""
    found: dict[str, list[str]] = defaultdict(list)
    for number, template in enumerate(recipe.prompts.templates):
        for y, b in recipe.groups:
            for one, other in product(recipe.classes[y].wordings, recipe.bias.values[b].wordings):
                said = template.format(**{"class": one, "bias": other})
                found[f"template {number} ({template!r})"].append(in_plain_words(said, recipe.classes[y].name))
    return found


def _lengths(what: str, texts: Texts, load: Callable[[], Sequence[TextReader]], cut: State = "problem") -> list[Check]:
    """Return a check for every key with a text that is cut: a problem where no encoder reads it whole."""
    try:
        readers = load()
    except Exception as error:  # tokenizers raise what they like; whether the model loads is checked elsewhere
        return [Check(what, "not checked", f"no tokenizer: {type(error).__name__}: {error}")]
    if not readers:
        return [Check(what, "not checked", "the model has no tokenizer whose limit is known")]
    found, longest = [], 0
    for key, own in texts.items():
        for text in sorted(set(own), key=len, reverse=True):
            lost = [(reader, reader.cut(text)) for reader in readers]
            longest = max(longest, *(reader.tokens(text) for reader in readers))
            if any(part for _, part in lost):
                found.append(_cut(what, key, text, lost, cut))
                break
    most = max(reader.longest for reader in readers)
    return found or [Check(what, "ok", f"at most {longest} tokens of {most}")]


def _cut(what: str, key: str, text: str, lost: Iterable[tuple[TextReader, str]], state: State) -> Check:
    reader, part = next((reader, part) for reader, part in lost if part)
    said = (
        f"{key} has {reader.tokens(text)} tokens, of which {reader.name} reads {reader.longest}: {part!r} is cut "
        f"off {text!r}"
    )
    if not all(part for _, part in lost):
        return Check(what, "note", f"{said}; the model's other text encoder reads all of it")
    return Check(what, state, f"{said}; shorten it")
