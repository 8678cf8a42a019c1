"""After the source stage a run has every picture: it needs the dataset no more, wherever that lies."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from fairshards.pipeline.driver import run
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.kinds.kind import RunResult
from fairshards.pipeline.pictures import source as sourcing
from fairshards.pipeline.pictures.source import SourceResult
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.run import committed
from fairshards.pipeline.run.context import Anew
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.progress import Reporter
from fairshards.transforms.sources import SourceError
from tests.pipeline.small import Small, small_recipe, write_source


def decided(recipe: Recipe, root: Path, read: bool = False, until: str = "curate") -> tuple[RunResult, str]:
    """Decide again over what the run has; return the result and what was said."""
    said = io.StringIO()
    report = Reporter(Console(file=said, width=1000))
    return run(recipe, Launcher(), report, until, root, anew=Anew(read, read)), said.getvalue()


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The dataset isn't where the recipe says, whoever looks at it."""

    def look(*given: object) -> None:
        raise SourceError("the dataset isn't there")

    monkeypatch.setattr(sourcing, "reader_of", look)
    return monkeypatch


@pytest.mark.usefixtures("gone")
def test_curate_takes_the_dataset_from_the_run(small: Small, copy: Callable[[], Path]) -> None:
    root = copy()
    again, _ = decided(small_recipe(small.folder), root)
    assert again.source == small.result.source and again.generated == 0
    assert again.curated and small.result.curated
    assert again.curated.curation_id == small.result.curated.curation_id
    stricter, _ = decided(small_recipe(small.folder, "filters.variance.max=100000000.0"), root)
    assert stricter.curated and stricter.curated.curation_id != again.curated.curation_id


def test_another_bias_ratio_is_another_choice_of_what_was_read(
    small: Small, copy: Callable[[], Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    ratio = ("source.bias_ratio=0.75", "source.val_min_group=1")
    read = small.run(tmp_path / "read", *ratio, until="source").source
    request.getfixturevalue("gone")
    found = source_of(small_recipe(small.folder, *ratio), copy())
    assert found == read and found.samples < small.result.source.samples


def source_of(recipe: Recipe, root: Path, read: bool = False) -> SourceResult:
    return run(recipe, Launcher(), Reporter(quiet=True), "source", root, anew=Anew(read=read)).source


@pytest.mark.usefixtures("gone")
@pytest.mark.parametrize(
    "change", ["name=other", "classes=[{name: landbird, labels: [x]}, {name: waterbird}]", "source.class_field=kind"]
)
def test_what_would_be_read_in_another_way_needs_the_dataset(
    small: Small, copy: Callable[[], Path], change: str
) -> None:
    with pytest.raises((SourceError, RecipeError)):
        source_of(small_recipe(small.folder, change), copy())


def test_another_dataset_that_is_named_is_read_or_refused(
    small: Small, copy: Callable[[], Path], tmp_path: Path
) -> None:
    root, other = copy(), write_source(tmp_path / "other", (5, 2, 2, 4))
    found = source_of(small_recipe(small.folder, f"source.path={other}"), root)
    assert found.samples == small.result.source.samples + 1
    with pytest.raises(SourceError, match="typo"):
        source_of(small_recipe(small.folder, f"source.path={tmp_path}/typo"), root)


def test_a_source_that_is_incomplete_needs_the_dataset(
    small: Small, copy: Callable[[], Path], request: pytest.FixtureRequest
) -> None:
    root = copy()
    next(iter(root.glob("source/source-*.tar"))).unlink()
    gone = request.getfixturevalue("gone")
    with pytest.raises(SourceError):
        source_of(small_recipe(small.folder), root)
    gone.undo()
    assert source_of(small_recipe(small.folder), root) == small.result.source  # which is read again where it is there


def test_a_run_goes_on_without_the_dataset_and_says_so(small: Small, tmp_path: Path) -> None:
    data, root = tmp_path / "data", tmp_path / "run"
    shutil.copytree(small.folder / "source", data)
    recipe = small_recipe(small.folder, f"source.path={data}")
    first = source_of(recipe, root, read=True)
    data.rename(tmp_path / "renamed")
    result, said = decided(recipe, root, read=True, until="source")
    assert result.source == first
    assert f"The run goes on with the {first.samples + first.rejects} files that it has read before" in said
    with pytest.raises(SourceError):  # another dataset that isn't there is a mistake
        source_of(small_recipe(small.folder, f"source.path={tmp_path}/typo"), root, read=True)


def test_a_run_notices_that_the_dataset_has_changed(small: Small, copy: Callable[[], Path], tmp_path: Path) -> None:
    root, changed = copy(), write_source(tmp_path / "changed", (5, 2, 2, 4))
    result, said = decided(small_recipe(small.folder, f"source.path={changed}"), root, read=True)
    assert result.source.samples == small.result.source.samples + 1
    assert "the dataset isn't what this run has read before: 1 of its 3 parts are read anew" in said
    _, said = decided(small_recipe(small.folder, f"source.path={changed}"), root, read=True)
    assert "isn't what this run" not in said


def test_a_recipe_that_an_earlier_version_wrote_and_this_one_cant_read_stands_for_nothing(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, recipe = small.result.folder, small_recipe(small.folder)
    assert committed.committed_source(recipe, folder, folder.current()) is not None
    monkeypatch.setattr(json, "loads", lambda text: {"name": "of another time"})
    assert committed.committed_source(recipe, folder, ["run-x.parquet"]) is None
    monkeypatch.undo()
    monkeypatch.setattr(committed, "_earlier", lambda *given: None)
    assert committed.committed_source(recipe, folder, folder.current()) is None


def test_curate_works_from_another_working_folder(
    small: Small, copy: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from fairshards.pipeline.cli.app import app

    root = copy()
    kept = load_recipe(str(root / "recipe.yaml"))
    text = (root / "recipe.yaml").read_text().replace(str(small.folder / "source"), "source")
    text = text.replace(f"{small.folder}/models", "models")  # these are needed, and lie where the run was made
    said = json.loads((root / "run.json").read_text())
    (root / "run.json").write_text(json.dumps({**said, "working_folder": str(small.folder)}))
    (root / "recipe.yaml").write_text(text)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert kept.source.reader == "webdataset"
    done = CliRunner().invoke(app, ["curate", str(root), "-q"])
    assert done.exit_code == 0 and "curated 16 samples" in done.output, done.output
    assert f"looked for in {small.folder}, where the run was made" in done.output
    assert json.loads((root / "run.json").read_text())["working_folder"] == str(small.folder)


def test_weights_that_a_recipe_names_are_looked_for_where_the_run_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("home/weights", "elsewhere", "run"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "home")
    folder = RunFolder(tmp_path / "run")
    folder.set_current([], finished=True)
    (folder.root / "recipe.yaml").write_text("training: {settings: {model: 'timm:resnet18', weights: weights}}")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert folder.go_home() == tmp_path / "home" == Path.cwd()
