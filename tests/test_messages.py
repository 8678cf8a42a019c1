"""What a person reads on the terminal: names as they are, one message a line, an estimate that fits the recipe."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from rich.console import Console

from fairshards.generators.images import BadImage
from fairshards.pipeline.cli.messages import expected_errors
from fairshards.pipeline.cli.pages import print_plan, print_summary
from fairshards.pipeline.pictures.pages import PAGES
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.report.tables import accuracy_table
from fairshards.pipeline.run.jobs import Launcher
from tests.pipeline.report_run import SELECTION, build, make_recipe

ODD = "x[/y]"
COUNTS = {"reader": "webdataset", "path": "nowhere", "bias_ratio": 0.9, "published_counts": {"0.9": [9, 1, 1, 9]}}


def plan(recipe: Recipe, root: Path, capsys: pytest.CaptureFixture[str]) -> str:
    print_plan(recipe, root, PAGES, Console())
    return capsys.readouterr().out


def planned(**changes: Any) -> Recipe:
    """Return a recipe that can be planned without a dataset: 20 real images in four groups."""
    return make_recipe(source=COUNTS, **changes)


def trained(**changes: Any) -> SimpleNamespace:
    """Return what a finished training looks like to the table."""
    test = {
        "worst_group": 0.5,
        "worst_group_name": "landbird|water",
        "worst_n": 250,
        "balanced": 0.6,
        "average": 0.7,
        "adjusted_average": None,
    }
    return SimpleNamespace(
        method="erm",
        name="ERM",
        loss="erm",
        seed=0,
        test={**test, **changes},
        metrics={},
        head=SimpleNamespace(settings={"selection": SELECTION}),
    )


def printed(result: SimpleNamespace, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_summary(make_recipe(), result, PAGES, console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def finished(root: Path, **changes: Any) -> SimpleNamespace:
    """Return the result of a run that made, kept and trained something."""
    curated = SimpleNamespace(selection=SimpleNamespace(chosen=range(1000), balanced=250), curation_id="c0ffee000001")
    return SimpleNamespace(
        **{
            "curated": curated,
            "generated": 0,
            "prepared": None,
            "judged": [trained()],
            "folder": SimpleNamespace(root=root),
            "report": root / "report.html",
            "seconds": 12.0,
            **changes,
        }
    )


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_a_message_is_one_line_at_eighty_columns() -> None:
    root = Path("/a/rather/long/path/to/the/folder/in/which/the/run/called/pocket-waterbirds/lies")
    lines = printed(finished(root, judged=[])).splitlines()
    assert lines == [
        "curated 1000 samples: 250 a group in the balanced split; 0 generated in this run; curation c0ffee000001",
        f"run folder: {root}",
        f"report:     {root}/report.html",
        f"12 s; ask the catalog: fairshards query {root} balance",
    ]


def test_the_plans_sentences_are_one_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(tmp_path / "run", planned(), until="generate")
    *_, counts, estimate = plan(planned(), tmp_path / "run", capsys).splitlines()
    assert counts.startswith("real counts from the published split at r = 0.9;") and counts.endswith("20 steps each")
    assert estimate.startswith("about ") and estimate.endswith(f"by the run in {tmp_path / 'run'}")


def test_names_in_brackets_are_shown_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = planned(classes=[{"name": "[red]", "words": [ODD]}, {"name": "b"}], quota={"per_group": 4})
    text = plan(recipe, tmp_path / "[b]run[/c]", capsys)
    assert "[red]|land" in text and ODD in text
    build(tmp_path / "[b]run[/c]", recipe, until="generate")
    assert f"by the run in {tmp_path}/[b]run[/c]" in plan(recipe, tmp_path / "[b]run[/c]", capsys)
    text = printed(finished(tmp_path / "[b]run[/c]", judged=[trained(worst_group_name=f"{ODD}|[red]")]), width=160)
    assert f"{ODD}|[red] (250)" in text
    assert f"run folder: {tmp_path}/[b]run[/c]\n" in text and f"fairshards query {tmp_path}/[b]run[/c] bal" in text


def test_an_error_shows_names_in_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    for text in (ODD, "[red]", "a\\[/b]"):
        with pytest.raises(typer.Exit), expected_errors(debug=False):
            raise RecipeError(f"no class {text} here")
        assert capsys.readouterr().err == f"error: no class {text} here\n"


class _Raises:
    """A step that fails."""

    def __init__(self, error: type[Exception], *given: str) -> None:
        self.error, self.given = error, given

    def __call__(self, element: int) -> int:
        try:
            raise KeyError("what it came from")
        except KeyError as error:
            raise self.error(*self.given) from error


SENTENCES = {
    "one of ours": (_Raises(RecipeError, "no [a] here: got 1;\n  expected 2"), "no [a] here: got 1;\n  expected 2"),
    "ours of several parts": (_Raises(BadImage, "broken", "a\nand\n  b"), str(BadImage("broken", "a\nand\n  b"))),
    "a library's": (_Raises(ZeroDivisionError, "by 0"), "ZeroDivisionError: by 0\n(use --debug for the traceback)"),
    "an empty one": (_Raises(ZeroDivisionError), "ZeroDivisionError\n(use --debug for the traceback)"),
    "the system's": (_Raises(FileNotFoundError, "no such tar"), "no such tar"),
    "a full disk": (
        _Raises(OSError, "No space left on device"),
        "No space left on device; free some space and run the same command again, what is committed is kept",
    ),
}


@pytest.mark.parametrize("name", SENTENCES)
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_error_inside_a_step_keeps_its_whole_sentence(
    name: str, workers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    import apache_beam as beam

    step, sentence = SENTENCES[name]
    with pytest.raises(typer.Exit) as caught, expected_errors(debug=False):
        Launcher(workers=workers).map([1], "A step" >> beam.Map(step))
    assert capsys.readouterr().err == f"error: {sentence}\n" and caught.value.exit_code == 1


def test_an_error_of_a_users_module_is_not_taken_for_ours(capsys: pytest.CaptureFixture[str]) -> None:
    """Their folder may be called filters too."""
    theirs = type("Blurred", (ValueError,), {"__module__": "filters.blur"})
    with pytest.raises(typer.Exit), expected_errors(debug=False):
        raise theirs("too soft")
    assert capsys.readouterr().err == "error: Blurred: too soft\n(use --debug for the traceback)\n"


def test_the_estimate_goes_with_the_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(tmp_path / "run", planned(), made=12, until="generate")  # 12 samples of 20 steps a second
    same = plan(planned(), tmp_path / "run", capsys)
    assert f"12.0 samples/s of 20 steps, by the run in {tmp_path / 'run'}" in same
    generator = {"model": "pocket:pocket-diffusion", "steps": 60, "height": 64, "width": 64}
    more = plan(planned(generator=generator), tmp_path / "run", capsys)
    assert "about 1.1 minutes: 4.0 samples/s of 60 steps" in more


def test_the_estimate_takes_the_steps_from_the_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no estimate" in plan(planned(), tmp_path / "empty", capsys)
    run = build(tmp_path / "run", planned(), made=12, until="generate")
    (run.root / "recipe.yaml").write_text("generator: {steps: 60}")  # a killed run's, before its first shard
    assert "12.0 samples/s of 20 steps" in plan(planned(), tmp_path / "run", capsys)
    (run.root / "plan/round-0.parquet").unlink()
    assert "no estimate" in plan(planned(), tmp_path / "run", capsys)


def test_the_table_is_one_line_a_training_at_eighty_columns() -> None:
    ffr = trained(worst_group=0.98)
    ffr.method, ffr.name, ffr.seed, ffr.metrics = "ffr", "FFR", 1, {"stage1": {"test": trained().test}}
    console = Console(file=io.StringIO(), width=80)
    console.print(accuracy_table([trained(), ffr]))
    lines = [line.split() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert ["test", "accuracy,", "%,", "loss", "erm"] in lines
    assert ["ERM", "0", "50.0", "60.0", "70.0", "-", "landbird|water", "(250)"] in lines
    assert ["FFR", "1", "98.0", "60.0", "70.0", "-", "landbird|water", "(250)"] in lines
    assert ["stage", "1", "alone", "1", "50.0", "60.0", "70.0", "-", "landbird|water", "(250)"] in lines


def test_the_table_names_the_selection_rule_and_both_averages() -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(accuracy_table([trained(), trained()]))
    text = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    assert text.count(SELECTION) == 1 and f"Model selection: {SELECTION}." in text
    assert "average: plain over the test split" in text
    assert "adjusted average: groups weighted by their share of the real training set" in text
