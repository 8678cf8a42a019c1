"""The registry of kinds: ours, those of installed packages, and what a recipe of each is read by."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fairshards.pipeline.cli.app import app
from fairshards.pipeline.kinds import kind_named, kind_of, known_kinds, load_recipe, registry
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.plugins import PluginError
from tests.pipeline.third_kind import SentencesRecipe


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package whose entry point brings the kind of sentences."""
    point = EntryPoint("sentences", "tests.pipeline.third_kind:Sentences", registry.GROUP)
    monkeypatch.setattr(registry.importlib.metadata, "entry_points", lambda group: [point])
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))


def test_a_kind_is_found_by_its_recipe_and_an_unknown_one_names_the_nearest() -> None:
    for name in ("pictures", "ehr"):
        kind = kind_named(name)
        assert (kind.name, kind.recipe.KIND) == (name, name)
    assert kind_of(load_recipe("btgan_support2")) is kind_named("ehr")
    with pytest.raises(RecipeError, match=r"kind is 'her' \(did you mean 'ehr'\?\); known: pictures, ehr"):
        kind_named("her")
    with pytest.raises(RecipeError, match="kind is"):
        load_recipe("btgan_support2", ["kind={a: 1}"])


def test_an_installed_package_brings_a_kind(installed: None, tmp_path: Path) -> None:
    assert known_kinds()[:3] == ["pictures", "ehr", "sentences"]
    (tmp_path / "told.yaml").write_text("kind: sentences\nname: told\npath: lines.txt\nquota: {per_group: 3}\n")
    recipe = load_recipe(str(tmp_path / "told.yaml"), ["quota.max_rounds=2"])
    assert isinstance(recipe, SentencesRecipe) and (recipe.quota.per_group, recipe.quota.max_rounds) == (3, 2)
    with pytest.raises(RecipeError, match=r"quota\.per_grup: unknown key \(did you mean 'per_group'\?\)"):
        load_recipe(str(tmp_path / "told.yaml"), ["quota.per_grup=2"])


def test_the_schema_of_every_kind_is_printed(installed: None) -> None:
    of_pictures = json.loads(CliRunner().invoke(app, ["schema"]).output)
    assert of_pictures["title"] == "Recipe" and {"name", "source", "runner"} <= of_pictures["properties"].keys()
    assert json.loads(CliRunner().invoke(app, ["schema", "--kind", "ehr"]).output)["title"] == "EhrRecipe"
    every = json.loads(CliRunner().invoke(app, ["schema", "--kind", "all"]).output)
    assert {"pictures", "ehr", "sentences"} <= every.keys() and every["pictures"] == of_pictures
    unknown = CliRunner().invoke(app, ["schema", "--kind", "picture"])
    assert unknown.exit_code == 1 and "did you mean 'pictures'" in unknown.output


def test_a_kind_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("volumes", "no_such_package.kinds:Volumes", registry.GROUP)
    monkeypatch.setattr(registry.importlib.metadata, "entry_points", lambda group: [point])
    with pytest.raises(PluginError, match=r"no_such_package.kinds.Volumes' can't be imported: there is no module"):
        kind_named("volumes")
