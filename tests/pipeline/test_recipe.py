"""Recipes: what ships loads, and what is wrong is said with the nearest known key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from pipeline.ehr_recipe import load_any
from pipeline.recipe import Recipe, RecipeError, load_recipe, shipped_recipes
from pipeline.training_settings import reference_settings, train_settings


@pytest.mark.parametrize("name", shipped_recipes("pictures"))
def test_every_shipped_recipe_loads(name: str) -> None:
    assert load_recipe(name).name == name


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("generator.stepps=3", r"generator\.stepps: unknown key \(did you mean 'steps'\?\)"),
        ("source.n_trian=3", r"source\.n_trian: unknown key \(did you mean 'n_train'\?\)"),
        ("qota.per_group=3", r"qota: unknown key \(did you mean 'quota'\?\)"),
        ("filters={clip_alignement: {min: 0.2}}", r"'clip_alignement' \(did you mean 'clip_alignment'\?\)"),
        ("filters={clip_alignment: {mim: 0.2}}", r"filters\.clip_alignment.*mim"),
        ("filters={variance: {retain: 3}}", r"retain is 3"),
        ("generator.window=99", r"window is 99, but there are only 20 steps"),
        ("generator.steps=many", r"generator\.steps.*'many'"),
        ("prompts.templates=['a {colour} bird']", r"colour.*known are \{class\} and \{bias\}"),
        ("classes=[{name: a}, {name: a}]", r"classes has a name twice"),
        ("groups=[[landbird, land], [landbird, land]]", r"groups has a pair twice"),
        ("training.settings.main.lerning_rate=1", r"training\.settings\.main has an unknown key 'lerning_rate'"),
        ("training.settings={epoch: 3}", r"training\.settings has an unknown key 'epoch'; known: .*image_size"),
        ("training.by_method={ffr: {finetune: {ir: 1}}}", r"by_method\.ffr\.finetune .*'ir' \(did you mean 'lr'\?\)"),
        ("training.by_method={fr: {}}", r"training\.by_method\.fr"),
        ("training.settings={main: 3}", r"training\.settings\.main is 3; it must be a mapping"),
        ("training.settings={main: {lr: 0}}", r"lr is 0; it must be above 0"),
        ("groups=[[landbird, sea]]", r"groups has \[landbird, sea\]"),
        ("source={reader: zip, path: x}", r"zip"),
        ("bias=null", r"training\.methods has \['usb', 'asb', 'ffr'\].*no bias label is known"),
        ("bias={name: unknown, values: [{name: a}, {name: b}]}", r"bias\.name 'unknown' means"),
        ("bias={values: [{name: land}]}", r"bias: bias\.values has 'land' alone"),
        ("training.settings={selection: synthetic-validation}", r"quota\.validation is 0: set how many"),
        ("name=a/b", r"name"),
        ("no-equals-sign", r"not key=value"),
    ],
)
def test_mistakes_are_named(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe("pocket-waterbirds", [override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.losses=[erm, resample]", r"losses has 'resample', but no bias label is known"),
        ("training.by_method={aspire-dfr: {dfr_groups: 'true'}}", r"dfr_groups 'true'"),
        ("groups=[[landbird, land]]", r"groups lists pairs"),
        ("source={reader: image_folder, path: x, bias_ratio: 0.9}", r"bias_ratio sub-samples groups"),
        ("source={reader: image_folder, path: x, aligned: {landbird: land}}", r"source\.aligned names groups"),
    ],
)
def test_without_bias_labels_nothing_may_ask_for_them(override: str, message: str) -> None:
    assert load_recipe("pocket-aspire", ["bias=null"]).groups == [(0, -1), (1, -1)]
    with pytest.raises(RecipeError, match=message):
        load_recipe("pocket-aspire", ["bias=null", override])
    with pytest.raises(RecipeError, match="add discovery, which finds it"):
        load_recipe("pocket-waterbirds", ["bias=null", "training.methods=[erm]"])


def test_the_reference_is_never_chosen_by_what_is_not_generated_yet() -> None:
    asked = ["training.settings={selection: synthetic-validation}", "training.methods=[erm, aspire-erm]"]
    recipe = load_recipe("pocket-aspire", [*asked, "quota.validation=5"])
    assert {one.selects_by for one in train_settings(recipe.training)} == {"synthetic-validation"}
    assert reference_settings(recipe.training, {}).selects_by == "worst-class"


def test_a_recipe_without_bias_labels_survives_being_written(tmp_path: Path) -> None:
    recipe = load_recipe("pocket-aspire", ["bias=null"])
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json", by_alias=True)))
    assert load_recipe(str(tmp_path / "r.yaml")) == recipe


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"did you mean 'pocket-waterbirds'"):
        load_recipe("pocket-waterbird")


def test_a_file_that_is_no_recipe(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("- a\n- list\n")
    with pytest.raises(RecipeError, match="expected a mapping"):
        load_recipe(str(tmp_path / "r.yaml"))
    (tmp_path / "r.yaml").write_text("a: [1")
    with pytest.raises(RecipeError, match="no YAML"):
        load_recipe(str(tmp_path / "r.yaml"))


def test_the_json_schema_knows_every_key() -> None:
    schema = json.dumps(Recipe.model_json_schema())
    assert all(f'"{name}"' in schema for name in ("bias_ratio", "guidance_scale", "usb_extra", "groups"))


def test_a_resolved_recipe_loads_again(tmp_path: Path) -> None:
    import yaml

    for name in shipped_recipes():
        recipe = load_any(name)
        (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json", by_alias=True)))
        assert load_any(str(tmp_path / "r.yaml")) == recipe
