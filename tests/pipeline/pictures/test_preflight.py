"""What would end a run hours later is said before it makes anything: all of it at once, each with what to do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from typer.testing import CliRunner

from fairshards.catalogs.cohorts.schema import Column, Schema
from fairshards.generators.diffusion.personal import in_plain_words
from fairshards.generators.diffusion.prompt_length import _longest_sequence, clip_readers, pipeline_readers
from fairshards.pipeline.discovery.spurious_free import word_for
from fairshards.pipeline.driver import run
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.pictures.count_checks import after_source, check_quota
from fairshards.pipeline.pictures.discovery_plan import downloads
from fairshards.pipeline.pictures.preflight import before_source
from fairshards.pipeline.pictures.prompt_checks import (
    as_made,
    distinct_judges,
    distinct_prompts,
    generator_prompts,
    scorer_texts,
)
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.recipe.records import EhrRecipe, RowGroups
from fairshards.pipeline.records.row_checks import after_cohort, before_cohort
from fairshards.pipeline.run.checks import Check, PreflightError, print_checklist, require
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.place_checks import folder_checks
from fairshards.pipeline.run.progress import Reporter
from fairshards.pipeline.run.quota import Quota, quotas
from fairshards.pipeline.synthesis.plan import shard_name
from fairshards.pocket import checkpoint_path
from tests.pipeline.small import Small, small_recipe

LONG = "a photo without a tree and without two legs and without the sky and one background and no neck "
LONG += "of a {class} on {bias}"
LOCAL = Launcher()


PIPELINES = ("StableDiffusion3Pipeline", "FluxPipeline", "StableDiffusionPipeline")


def pocket(*overrides: str) -> Recipe:
    return load_recipe("pocket-waterbirds", overrides)


def problems(checks: Iterable[Check], state: str = "problem") -> dict[str, str]:
    return {check.what: check.said for check in checks if check.state == state}


def checked(recipe: Recipe, root: Path, until: str = "report", **more: Any) -> dict[str, str]:
    return problems(before_source(recipe, LOCAL, root, until, **more).checks)


def test_the_pocket_recipes_have_no_problem(tmp_path: Path) -> None:
    for name in ("pocket-waterbirds", "pocket-aspire"):
        ready = before_source(load_recipe(name), LOCAL, tmp_path / name, "report")
        assert {check.state for check in ready.checks} <= {"ok", "not checked"}
        assert ready.specs is not None and (ready.looks is None) == (name == "pocket-waterbirds")


def test_all_problems_are_said_at_once_and_nothing_is_made(tmp_path: Path) -> None:
    wrong = [
        "generator.model=nowhere/a/b",
        "scorer.model=nowhere/c/d",
        "prompts.templates=['a photo of a {class}']",
        "filters={variance: {retain: 0.9}}",
        "training.settings={model: 'timm:resnet5'}",
    ]
    with pytest.raises(PreflightError) as caught:
        run(pocket(*wrong), LOCAL, Reporter(quiet=True), "report", tmp_path / "run")
    said = str(caught.value).splitlines()
    assert said[0] == "4 things would end the run later:"
    assert [line.partition(":")[0].strip() for line in said[1:]] == [
        "models of generator",
        "models of scorer",
        "prompts of groups",
        "trained model timm",
    ]
    assert "'nowhere/a/b' isn't there" in said[1] and "timm:resnet50" in said[4]
    assert not (tmp_path / "run").exists()


def test_only_what_the_run_reaches_is_checked(tmp_path: Path) -> None:
    wrong = ["generator.model=nowhere/a/b", "training.settings={model: 'timm:resnet5'}"]
    assert checked(pocket(*wrong), tmp_path, "source") == {}
    assert list(checked(pocket(*wrong), tmp_path, "curate")) == ["models of generator"]


def test_a_prompt_that_the_text_encoder_cuts_is_named_with_its_template_and_the_end_that_is_lost() -> None:
    folder = str(checkpoint_path("pocket-diffusion"))
    (found,) = generator_prompts(pocket(f"prompts.templates=['a {{class}} on {{bias}}', '{LONG}']"), folder)
    assert found.state == "problem" and f"template 1 ({LONG!r})" in found.said
    assert "has 26 tokens, of which text_encoder reads 24: 'on water' is cut off" in found.said
    (fine,) = generator_prompts(pocket(), folder)
    assert (fine.state, fine.said) == ("ok", "at most 9 tokens of 24")


@pytest.mark.parametrize(
    ("override", "key"),
    [
        (f"prompts.negative='{'a tree and ' * 8}'", "prompts.negative"),
        (f"prompts.by_class={{landbird: {{negative: '{'a tree and ' * 8}'}}}}", "prompts.by_class.landbird.negative"),
        (
            f"prompts.by_class={{landbird: {{negatives: [['{'a tree and ' * 8}', -1.0]]}}}}",
            "prompts.by_class.landbird.negatives",
        ),
        (f"classes=[{{name: landbird, words: [a bird, '{'a tree and ' * 8}']}}, {{name: waterbird}}]", "template 0"),
    ],
)
def test_every_text_that_the_encoder_gets_is_measured(override: str, key: str) -> None:
    found = generator_prompts(pocket(override), str(checkpoint_path("pocket-diffusion")))
    assert [(check.state, check.said.startswith(key)) for check in found] == [("problem", True)]


@pytest.mark.parametrize(
    ("overrides", "state", "said"),
    [
        ([f"scorer.class_prompts=['{LONG.replace('{bias}', 'land')}']"], "problem", "judge of class waterbird"),
        ([f"classes=[{{name: a, judge: ['{'a tree and ' * 8}']}}, {{name: b}}]"], "problem", "judge of class a"),
        ([f"prompts.templates=['{LONG}']"], "note", "template 0"),
        ([f"prompts.templates=['{LONG}']", "filters={clip_alignment: {min: 0.2}}"], "problem", "template 0"),
    ],
)
def test_what_clip_reads_is_measured_too(overrides: list[str], state: str, said: str) -> None:
    found = scorer_texts(pocket(*overrides), str(checkpoint_path("pocket-clip")))
    assert said in problems(found, state).popitem()[1]


def test_limits_are_those_of_the_encoder_not_of_the_tokenizer_alone(small: Small, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(small.folder / "models" / "diffusion", tmp_path / "m"))
    assert [reader.longest for reader in pipeline_readers(folder)] == [77]
    config = folder / "text_encoder" / "config.json"
    config.write_text(config.read_text().replace('"max_position_embeddings": 77', '"max_position_embeddings": 40'))
    (reader,) = pipeline_readers(folder)
    assert (reader.longest, reader.tokens("birds"), reader.cut("b" * 38), reader.cut("b" * 40)) == (40, 7, "", "bb")


def test_encoders_without_positions_take_what_their_pipeline_asks_for() -> None:
    found = {name: _longest_sequence(name) for name in PIPELINES}
    assert found == {"StableDiffusion3Pipeline": 256, "FluxPipeline": 512, "StableDiffusionPipeline": None}


def test_open_clips_own_tokenizer_is_asked_as_those_of_transformers(small: Small) -> None:
    (reader,) = clip_readers(small.folder / "models" / "clip")
    text = "a photo of " * 10 + "birds"
    assert (reader.longest, reader.tokens(text), reader.cut(text)) == (24, 33, "photo of a photo of a photo of birds")
    assert reader.tokens("a photo") == 4


@pytest.mark.parametrize(
    ("overrides", "state"),
    [
        (["prompts.templates=['a photo of a {class}']", "filters={}"], "problem"),
        (["prompts.templates=['a {class} on {bias}', 'a photo of a {class}']", "filters={}"], "problem"),
        (["prompts.templates=['a photo of a {class}']", "filters={group_judge: {}}"], "note"),
        (["classes=[{name: a, words: [Bird]}, {name: b, words: [bird, duck]}]", "filters={}"], "problem"),
        (["classes=[{name: a, words: [duck]}, {name: b, words: [bird]}]", "filters={}"], "ok"),
    ],
)
def test_two_groups_never_get_one_prompt_unless_a_judge_tells_them_apart(overrides: list[str], state: str) -> None:
    assert distinct_prompts(pocket(*overrides)).state == state


def test_what_clip_is_asked_about_phrases_is_measured() -> None:
    asked = f"spurious_free.object_present=['{'a tree and ' * 8} of a {{class}} with {{phrase}}']"
    found = scorer_texts(as_made(load_recipe("pocket-aspire", [asked])), str(checkpoint_path("pocket-clip")))
    assert "spurious_free.object_present has" in problems(found)["length of the judge's texts"]


@pytest.mark.parametrize(
    ("overrides", "state"),
    [
        (["scorer.class_prompts=['a photo of a bird']"], "problem"),
        (["classes=[{name: a, judge: [a bird]}, {name: b, judge: [a bird]}]"], "problem"),
        (["scorer.bias_prompts=['a photo']", "filters={}"], "note"),
        ([], "ok"),
    ],
)
def test_the_judge_asks_something_of_its_own_of_each_value(overrides: list[str], state: str) -> None:
    assert distinct_judges(pocket(*overrides)).state == state


@pytest.mark.parametrize(
    ("filters", "state"),
    [("shortcut_left: {}", "problem"), ("spurious_absence: {}", "note"), ("edit_misplaced: {}", "note")],
)
def test_filters_that_have_nothing_to_look_for_are_said(filters: str, state: str, tmp_path: Path) -> None:
    checks = before_source(pocket(f"filters={{{filters}}}"), LOCAL, tmp_path, "curate").checks
    assert f"filter {filters.partition(':')[0]}" in problems(checks, state)


def test_the_key_of_an_endpoint_is_looked_for_where_its_caller_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = "discovery.extractor={endpoint: {base_url: 'http://localhost:1/v1', model: m, key_variable: SOME_KEY}}"
    recipe = load_recipe("pocket-aspire", [asked])
    assert list(checked(recipe, tmp_path, "discover")) == ["discovery.extractor.endpoint"]
    monkeypatch.setenv("SOME_KEY", "x")
    assert checked(recipe, tmp_path, "discover") == {}


def test_spurious_free_prompts_name_the_class_alone() -> None:
    assert distinct_prompts(as_made(load_recipe("pocket-aspire"))).state == "ok"
    same = as_made(load_recipe("pocket-aspire", ["spurious_free.templates=['a photo of a bird']", "filters={}"]))
    assert distinct_prompts(same).state == "problem"


def test_the_run_folder_belongs_to_one_kind_and_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "recipe.yaml").write_text("kind: ehr\nname: rows\n")
    (tmp_path / "file").write_text("")
    said = "holds a run of kind ehr, and this recipe is of kind pictures"
    assert said in problems(folder_checks(tmp_path / "rows", "pictures")).popitem()[1]
    assert not any(problems(folder_checks(tmp_path / name, "ehr")) for name in ("rows", "new"))
    assert "is a file" in problems(folder_checks(tmp_path / "file" / "run", "ehr")).popitem()[1]
    assert "is 256 bytes long" in problems(folder_checks(tmp_path / ("é" * 128), "ehr")).popitem()[1]
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert f"{tmp_path} can't be written" in problems(folder_checks(tmp_path / "a" / "b", "ehr")).popitem()[1]


def test_devices_are_those_of_the_workers(tmp_path: Path) -> None:
    asked = pocket("generator.device=cuda", "scorer.device=cuda", "training.settings={device: 'cuda:1'}")
    found = checked(asked, tmp_path)
    assert list(found) == [
        "generator.device",
        "scorer.device",
        "device of training ERM",
        "device of training USB",
        "device of training ASB",
        "device of training FFR",
    ]
    far = before_source(asked, Launcher("flink"), tmp_path, "curate").checks
    assert list(problems(far, "not checked")) == ["generator.device", "scorer.device"] and not problems(far)
    assert checked(asked, tmp_path, "curate", generate=False) == {}
    planned = before_source(asked, LOCAL, tmp_path, "report", only_planned=True).checks
    assert not problems(planned) and "generator.device" in problems(planned, "note")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("model: 'timm:resnet5'", "did you mean timm:resnet50"),
        ("model: 'timm:vit_tiny_patch16_224'", r"takes no pictures of image_size 64: .*its own size is 224"),
        ("model: 'timm:resnet18', weights: /nowhere", "no weights at /nowhere/model.safetensors"),
    ],
)
def test_what_is_trained_is_known_to_fit_before(settings: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match=message):
        require(before_source(pocket(f"training.settings={{{settings}}}"), LOCAL, tmp_path, "train").checks, Reporter())


def test_a_backbone_that_fits_passes(tmp_path: Path) -> None:
    assert checked(pocket("training.settings={model: 'timm:vit_tiny_patch16_224', image_size: 224}"), tmp_path) == {}


def test_a_plan_leaves_models_on_a_hub_alone(tmp_path: Path) -> None:
    planned = before_source(load_recipe("ffr_celeba_hq"), LOCAL, tmp_path, "report", only_planned=True).checks
    assert problems(planned, "not checked")["models of generator"].startswith("CompVis/stable-diffusion-v1-4: on a hub")
    nobody = before_source(pocket("generator.model=~no-such-user/m"), LOCAL, tmp_path, "report", only_planned=True)
    assert "~no-such-user/m: no such folder" in problems(nobody.checks)["models of generator"]


def test_a_model_in_the_home_folder_is_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "clip").mkdir()
    assert downloads(pocket("generator.model=a/b", "scorer.model=~/clip")) == ["a/b"]


@pytest.mark.parametrize(
    ("override", "key", "said"),
    [
        ("generator.model=/nowhere/sd", "models of generator", "/nowhere/sd: no such folder, and no hub's id"),
        ("scorer.model=./clip", "models of scorer", "./clip: no such folder"),
        ("generator.model='pocket:nothing'", "models of generator", "no pocket checkpoint 'nothing'; there are"),
        ("scorer.model='pocket:pocket-diffusion'", "models of scorer", "no open_clip_config.json"),
    ],
)
def test_a_plan_refuses_models_that_no_run_could_load(override: str, key: str, said: str, tmp_path: Path) -> None:
    planned = before_source(pocket(override), LOCAL, tmp_path, "report", only_planned=True).checks
    assert said in problems(planned)[key]


def index(tmp_path: Path, counts: Mapping[tuple[str, int, int], int]) -> Path:
    rows = [{"split": split, "y": y, "b": b} for (split, y, b), count in counts.items() for _ in range(count)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "index.parquet")
    return tmp_path / "index.parquet"


ALL = {(split, y, b): 2 for split in ("train", "val", "test") for y in (0, 1) for b in (0, 1)}
REAL = {(0, 0): 9, (0, 1): 1, (1, 0): 1, (1, 1): 9}


@pytest.mark.parametrize(
    ("gone", "state", "said"),
    [
        ([key for key in ALL if key[0] == "val"], "problem", "chooses the epoch .* it has test, train"),
        ([key for key in ALL if key[0] == "test"], "problem", "is what the tables show"),
        ([("val", 1, 0), ("val", 1, 1)], "problem", "no usable picture of class waterbird"),
        ([("test", 1, 0)], "note", r"no picture of waterbird\|land"),
    ],
)
def test_splits_hold_what_trainings_need(
    gone: list[tuple[str, int, int]], state: str, said: str, tmp_path: Path
) -> None:
    place = index(tmp_path, {key: count for key, count in ALL.items() if key not in gone})
    found = [
        one
        for one in after_source(pocket(), place, REAL, quotas(REAL, usb_extra=True), tmp_path, "train")
        if one.state != "ok"
    ]
    assert [one.state for one in found] == [state]
    with pytest.raises(AssertionError if state == "note" else PreflightError, match=None if state == "note" else said):
        require(found, Reporter(quiet=True))
        raise AssertionError
    assert after_source(pocket(), place, REAL, {}, tmp_path, "curate") == []


def test_a_dataset_without_val_is_refused_before_a_picture_is_made(small: Small, tmp_path: Path) -> None:
    source = Path(shutil.copytree(small.folder / "source", tmp_path / "source"))
    asked = [
        f"source={{reader: webdataset, path: {source}, splits: {{train: 'train-*.tar', test: 'test-*.tar'}}}}",
        "training={methods: [erm], settings: {image_size: 32}}",
    ]
    with pytest.raises(PreflightError, match="split val: the dataset has no usable picture of it"):
        small.run(tmp_path / "run", *asked, until="train")
    assert not (tmp_path / "run" / "raw").exists() and not (tmp_path / "run" / "plan").exists()


def test_balanced_groups_leave_asb_and_ffr_nothing_to_add() -> None:
    even = dict.fromkeys(REAL, 5)
    with pytest.raises(RecipeError, match=r"asb, which has nothing to add .*m = 0"):
        check_quota(pocket("training.methods=[erm, asb]"), even, quotas(even))
    check_quota(pocket("training.methods=[erm]"), even, quotas(even))


def test_validation_samples_are_none_that_usb_may_take() -> None:
    enough = {group: Quota(4, 4, 0) for group in REAL}
    check_quota(pocket("training.methods=[usb]"), REAL, enough)
    with pytest.raises(RecipeError, match=r"usb, which needs 8 .* keeps 4"):
        check_quota(pocket("training.methods=[usb]"), REAL, {group: Quota(4, 0, 4) for group in REAL})


def test_a_disk_that_may_be_too_small_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned, big = quotas(REAL, 1000), pocket("generator.height=1024", "generator.width=1024")
    (check,) = after_source(big, None, REAL, planned, tmp_path, "curate")
    assert check.state == "ok" and check.said.startswith("about 14.1 GiB")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(2, 1, 2**30))  # type: ignore[attr-defined]
    (check,) = after_source(big, None, REAL, planned, tmp_path, "curate")
    assert (check.state, check.said) == ("note", "about 14.1 GiB for pictures, 1.0 GiB free")


def test_batches_larger_than_a_shard_are_said(tmp_path: Path) -> None:
    said = problems(before_source(pocket("quota.shard_size=8"), LOCAL, tmp_path, "curate").checks, "note")
    assert "makes 32 pictures, of which 24 are thrown away" in said["shard size"]


def test_limits_of_another_run_are_looked_for(tmp_path: Path) -> None:
    found = checked(pocket(f"calibration={{run: {tmp_path}/none}}"), tmp_path / "run", "curate")
    assert "where no curation has calibrations" in found["calibration.run"]


def test_plan_prints_the_checklist_and_its_exit_code_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fairshards.pipeline.cli.app import app

    monkeypatch.chdir(tmp_path)
    small_recipe(tmp_path)
    quick = ["--set", "training={methods: [erm]}"]
    done = CliRunner().invoke(app, ["plan", "recipe.yaml", *quick], env={"COLUMNS": "200"})
    assert done.exit_code == 0 and "ok           split val: 8 pictures" in done.output
    wrong = ["--set", "generator.model=models/none", "--set", "prompts.templates=['a {class}']"]
    done = CliRunner().invoke(app, ["plan", "recipe.yaml", *quick, *wrong], env={"COLUMNS": "200"})
    lines = [line for line in done.output.splitlines() if line.startswith("  problem")]
    assert done.exit_code == 1 and [line.split(":")[0].split(None, 1)[1] for line in lines] == ["prompts of groups"]
    assert "models/none: on a hub; looked at when the run begins" in done.output


def test_a_checklist_shows_markup_as_it_is() -> None:
    with Console(width=80).capture() as captured:
        console = Console(width=80)
        with console.capture() as captured:
            good = print_checklist([Check("name [bold]x[/]", "problem", "[red]said[/]"), Check("other", "ok")], console)
    assert not good and captured.get().splitlines()[1:] == [
        "  problem      name [bold]x[/]: [red]said[/]",
        "  ok           other",
    ]


def rows_recipe(*overrides: str) -> EhrRecipe:
    recipe = load_recipe("btgan_support2", overrides)
    assert isinstance(recipe, EhrRecipe)
    return recipe


def row_groups(recipe: EhrRecipe) -> RowGroups:
    columns = (Column("died", "category", categories=("no", "yes")), Column("s", "category", categories=("a", "b")))
    return RowGroups(recipe, Schema("x", columns, "died", ("s",)), "s", ("no", "yes"), ("a", "b"), list(REAL))


def test_records_are_checked_before_their_model_is_trained(tmp_path: Path) -> None:
    assert not problems(before_cohort(rows_recipe(), LOCAL, tmp_path / "run"))
    asked = rows_recipe("model.device=cuda")
    assert list(problems(before_cohort(asked, LOCAL, tmp_path))) == ["model.device"]
    assert list(problems(before_cohort(asked, LOCAL, tmp_path, only_planned=True), "note")) == ["model.device"]
    (tmp_path / "recipe.yaml").write_text("name: pictures\n")
    assert "kind pictures" in problems(before_cohort(rows_recipe(), LOCAL, tmp_path)).popitem()[1]


def test_test_rows_have_both_labels_and_every_sub_group_gets_rows() -> None:
    groups, both, one = row_groups(rows_recipe()), pd.Series(["no", "yes"]), pd.Series(["no", "no"])
    assert {check.state for check in after_cohort(groups, REAL, both)} == {"ok"}
    assert "2 rows have only one value of died" in problems(after_cohort(groups, REAL, one))["test rows"]
    assert not problems(after_cohort(groups, REAL, one, "curate"))
    few = row_groups(rows_recipe("quota.rows=2"))
    assert "leaves 2 of 4 sub-groups without a row" in problems(after_cohort(few, REAL, both), "note")["quota"]


@pytest.mark.parametrize("name", [r"and\or", r"a\1b", r"\g<0>", "a{b}c", "[bold]x", "a%sb"])
def test_names_with_signs_of_other_languages_are_only_names(name: str) -> None:
    assert in_plain_words("a photo of a <bird-0> on land", name) == f"a photo of a {name} on land"
    recipe = pocket(f"classes=[{{name: '{name}'}}, {{name: b}}]", "source={reader: image_folder, path: x}")
    assert recipe.classes[0].name == name
    assert distinct_prompts(recipe).state == "ok"


def test_long_names_fit_into_a_file_name() -> None:
    long = ["鳥" * 100, "鳥" * 101]
    recipe = pocket(f"classes=[{{name: {long[0]}}}, {{name: {long[1]}}}]")
    names = [shard_name(recipe, group, 3) for group in recipe.groups]
    assert len(set(names)) == 4 and max(len(name.encode()) for name in names) < 140
    assert shard_name(pocket(), (0, 1), 3) == "landbird-water-0003"


def test_every_class_has_a_new_word_of_its_own() -> None:
    recipe = load_recipe("pocket-aspire", ["classes=[{name: 鳥}, {name: 魚}, {name: a b}, {name: a-b}, {name: Owl}]"])
    assert [word_for(recipe, y) for y in range(5)] == ["class-0", "class-1", "class-2", "class-3", "owl"]
