"""Recipes: what ships loads, and what is wrong is said with the nearest known key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.loading import shipped_recipes
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.recipe.training import reference_settings, train_settings
from tests.pipeline.small import small_recipe


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
        ("training.settings={main: {lr: '1e-3'}}", r"  training\.settings\.main\.lr: '1e-3' is text.*; write 0\.001"),
        ("training.settings={main: {epochs: 1.5}}", r"settings\.main\.epochs: 1\.5 is no whole number$"),
        ("training.settings={main: {batch_size: 8.0}}", r"main\.batch_size: 8\.0 is no whole number; write 8"),
        ("training.settings={main: {lr: .nan}}", r"main\.lr: nan is no finite number"),
        ("training.settings={main: {lr: .inf}}", r"main\.lr: inf is no finite number"),
        ("training.settings={main: {weight_decay: -1}}", r"settings\.main: weight_decay is -1"),
        ("training.settings={image_size: 64.5}", r"settings\.image_size: 64\.5 is no whole number"),
        ("training.settings={image_size: '64'}", r"image_size: '64' is text, expected a whole number; write 64"),
        ("training.settings={pretrained: 'no'}", r"settings\.pretrained: 'no' is text.*without quotes"),
        ("training.settings={cache_bytes: 2e9}", r"cache_bytes: .* is no whole number; write 2000000000"),
        ("training.settings={workers: -1}", r"workers is -1"),
        ("training.settings={device: gpu}", r"device is 'gpu'; did you mean 'cuda'\?"),
        ("training.settings={model: resnet50}", r"no model 'resnet50'.*did you mean 'timm:resnet50'\?"),
        ("training.by_method={erm: {image_size: x}}", r"by_method\.erm\.image_size: 'x' is text"),
        ("training.by_method={aspire-erm: {main: {lr: x}}}", r"by_method\.aspire-erm\.main\.lr: 'x' is text"),
        ("training.seeds=[0.5]", r"training\.seeds\.0: 0\.5 is no whole number"),
        ("training.seeds=0", r"training\.seeds: expected a list"),
        ("source={reader: image_folder, path: d, published_counts: {r95: [1, 2, 3, 4]}}", r"published_counts\.r95: "),
        ("training.seeds=[]", r"training\.seeds: .*at least 1"),
        ("training.losses=[]", r"training\.losses: .*at least 1"),
        ("training.seeds=[1, 1]", r"training\.seeds has one twice: \[1, 1\]"),
        ("training.methods=[erm, usb, erm]", r"training\.methods has one twice"),
        ("training.seeds=[-1]", r"training\.seeds\.0: .*greater than or equal to 0"),
        ("seed=9223372036854775808", r"seed: .*less than or equal to 9223372036854775807"),
        ("classes=[{name: a, words: [' ']}, {name: b}]", r"classes\.0\.words\.0: "),
        ("filters.variance={retain: '9e-1'}", r"filters\.variance\.retain: '9e-1' is text.*; write 0\.9"),
        ("filters.group_judge={min_probability: yes}", r"filters\.group_judge\.min_probability: expected a number"),
        ("generator.steps=20.0", r"generator\.steps: 20\.0 is no whole number; write 20"),
        ("generator.device=gpu", r"generator\.device: .*did you mean cuda\?"),
        ("generator.guidance_scale=.inf", r"generator\.guidance_scale: inf is no finite number"),
        ("calibration.images=012", r"calibration\.images: '012' is text, expected a whole number; write 12"),
        ("quota.usb_extra=1", r"quota\.usb_extra: expected yes or no \(got 1\)"),
        ("classes=[{name: no}, {name: a}]", r"classes\.0\.name: no is yes or no in YAML.*in quotes: 'no'"),
        ("classes=[{name: 1_000}, {name: a}]", r"1_000 is a number in YAML.*; write it in quotes: '1_000'"),
        ("classes=[{name: a, labels: [0]}, {name: b, labels: ['1']}]", r"classes\.0\.labels\.0: 0 is a number in YAML"),
        ("prompts.by_class={no: {negative: x}}", r"prompts\.by_class\.False: .*in quotes"),
        ("prompts.by_class={landbrid: {negative: x}}", r"by_class has 'landbrid' \(did you mean 'landbird'\?\)"),
        ("prompts.templates=['{class.upper} on {bias}']", r"has a field 'class\.upper'"),
        ("prompts.templates=['a {class:>9999999999} on {bias}']", r"asks for a width or form, '>9999999999'"),
        ("prompts.templates=['a { of {class}']", r"can't be filled.*written twice"),
        ("scorer.class_prompts=['a {bias}']", r"scorer: .* has a field 'bias'; known are \{class\}"),
        ("classes=[{name: a, labels: [x]}, {name: b, labels: [x]}]", r"'x' in the labels of 'b' .* 'a' goes by"),
        ("classes=[{name: a, labels: [b]}, {name: b}]", r"'b' in the labels of 'a' is also what 'b' goes by"),
        ('classes=[{name: "a\\nb"}, {name: c}]', r"classes\.0\.name: .*printable characters"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_path(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=f"(?m){message}"):
        load_recipe("pocket-waterbirds", [override])


def test_a_home_folder_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert load_recipe("pocket-waterbirds", ["output='~/runs'"]).output == "/home/somebody/runs"
    assert load_recipe("btgan_support2", ["output='~/runs'"]).output == "/home/somebody/runs"


def test_all_problems_are_said_at_once_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(
        "name: r\nsource: {reader: image_folder, path: data}\nclasses:\n- name: yes\n- name: b\n"
        "generator:\n  model: m\n  steps: '3'\n  devise: cpu\nscorer: {model: c}\n"
    )
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(tmp_path / "r.yaml"))
    assert [line.split(" ", 3)[2] for line in str(caught.value).splitlines()[1:]] == [
        "classes.0.name:",
        "generator.steps:",
        "generator.devise:",
    ]
    assert "line 4: yes is yes or no in YAML" in str(caught.value) and "line 8: '3' is text" in str(caught.value)


def test_what_does_not_go_together_is_said_at_once() -> None:
    wrong = ["groups=[[landbird, sea]]", "training.settings={x: 1, main: {lr: a}}", "filters.variance={retain: 7}"]
    with pytest.raises(RecipeError) as caught:
        load_recipe("pocket-waterbirds", wrong)
    assert [line.split()[0] for line in str(caught.value).splitlines()[1:]] == [
        "filters.variance:",
        "training.settings",
        "training.settings.main.lr:",
        "groups",
    ]


@pytest.mark.parametrize("text", ["1e-3", "1E-3", ".001", "1.0e-3"])
def test_a_number_with_an_exponent_is_a_number_everywhere(text: str) -> None:
    sets = ["training.settings", "training.by_method.erm"]
    recipe = load_recipe("pocket-waterbirds", [f"{one}.main.lr={text}" for one in sets])
    assert {one.main.lr for one in train_settings(recipe.training) if one.method == "erm"} == {0.001}
    assert load_recipe("pocket-waterbirds", ["filters.variance.retain=9e-1"]).filters["variance"] == {"retain": 0.9}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.settings={batch: 1.5}", r"model\.settings\.batch: 1\.5 is no whole number"),
        ("model.settings={learning_rate: '1e-3'}", r"model\.settings\.learning_rate: '1e-3' is text.*write 0\.001"),
        ("model.settings={rejection: 'no'}", r"model\.settings\.rejection: 'no' is text"),
        ("model.settings={device: cuda}", r"model\.settings has an unknown key 'device'"),
        ("model.settings={dropuot: 0.1}", r"unknown key 'dropuot' \(did you mean 'dropout'\?\)"),
        ("filters={nearest_record: {min: '1e-3'}}", r"filters\.nearest_record\.min: '1e-3' is text"),
        ("cohort.leave_values=[no]", r"cohort\.leave_values\.0: no is yes or no in YAML"),
    ],
)
def test_recipes_of_records_are_as_strict(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe("btgan_support2", [override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("discovery.reference={device: gpu}", r"discovery\.reference: device is 'gpu'; did you mean 'cuda'"),
        ("discovery.reference={main: {epochs: 1.5}}", r"discovery\.reference\.main\.epochs: 1\.5 is no whole number"),
        ("spurious_free.personalise={steps: 1.5}", r"personalise\.steps: 1\.5 is no whole number"),
        ("spurious_free.negative='{alternative}'", r"has a field 'alternative'; known are \{phrase\} and \{class\}"),
        ("spurious_free.templates=['a {class} without {phrase}']", r"has a field 'phrase'; known are \{class\}"),
    ],
)
def test_settings_of_discovery_are_as_strict(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe("pocket-aspire", [override])


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
    (tmp_path / "r.yaml").write_text("kind: picture\nname: a\n")
    with pytest.raises(
        RecipeError, match=r"r.yaml: kind is 'picture' \(did you mean 'pictures'\?\); known: pictures, ehr"
    ):
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
        recipe = load_recipe(name)
        (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json", by_alias=True)))
        assert load_recipe(str(tmp_path / "r.yaml")) == recipe


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["generator.window=1"], "window is 1, and one step has no variance"),
        (["generator.window=0"], "filters has variance, but generator.window is 0"),
        (["generator.steps=1"], "there are only 1 steps; window: 0 follows none"),
        (["generator.window=0", "filters={}", "generator.prune={step: 4, min_class: 0.1}"], "is 4, the last step"),
    ],
)
def test_a_window_that_does_not_fit(tmp_path: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        small_recipe(tmp_path, *overrides)


def test_one_step_models_follow_no_trajectory(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path, "generator.steps=1", "generator.window=0", "filters={}")
    assert (recipe.generator.steps, recipe.generator.window) == (1, 0)
