"""Every command on a finished run over pictures: its exit code, what its answer says, and its refusals.

The commands whose runs are long are tried where such a run is: `discover` in test_discovery.py, `evaluate` in
test_ehr.py, `calibrate-pruning` in test_pruning.py, `choose-lambda` in test_lambda_table.py.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fairshards.catalogs.questions.query import run_query
from fairshards.pipeline.cli.app import app
from fairshards.pipeline.recipe.loading import shipped_recipes
from tests.command_line import error_of, fairshards
from tests.pipeline.small import Small, digests

COMMANDS = sorted(str(command.name) for command in app.registered_commands)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str) -> None:
    told = fairshards(command, "--help")
    assert told.exit_code == 0 and re.search(rf"Examples?:\s+fairshards\s+{command}\b", told.output), told.output


def test_every_command_is_run_by_a_test() -> None:
    tests = Path(__file__).parents[2].rglob("test_*.py")
    run = {command for path in tests for command in commands_run(ast.parse(path.read_text()))}
    assert run >= set(COMMANDS)


def commands_run(tree: ast.AST) -> Iterator[str]:
    """Yield the commands that a test module runs: ``fairshards("plan", ...)`` or a list that begins with one."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="fairshards"), args=[ast.Constant(value=str(command)), _, *_]):
                yield command
            case ast.Call(func=ast.Name(id="fairshards"), args=[ast.Constant(value=str(command))]):
                yield command
            case ast.Call(
                func=ast.Attribute(attr="invoke"), args=[_, ast.List(elts=[ast.Constant(value=command), *_])]
            ):
                yield str(command)


def test_generate_makes_nothing_where_nothing_is_missing(copy: Callable[[], Path]) -> None:
    root = copy()
    before = digests(root, "raw/*")
    done = fairshards("generate", root, "--quiet")
    assert done.exit_code == 0, done.output
    assert f"run folder: {root}" in done.stdout and digests(root, "raw/*") == before


def test_generate_makes_a_lost_shard_again(small: Small, copy: Callable[[], Path]) -> None:
    root = copy()
    lost = min(root.glob("raw/*.tar"))
    lost.unlink()
    assert fairshards("generate", root, "--quiet").exit_code == 0
    assert digests(root, "raw/*.tar") == digests(small.root, "raw/*.tar")
    assert "no run in" in error_of(fairshards("generate", root / "nothing"))


def test_curate_decides_again_and_says_what_it_kept(copy: Callable[[], Path]) -> None:
    root = copy()
    done = fairshards("curate", root, "--quiet", "--set", "quota.per_group=3")
    assert done.exit_code == 0, done.output
    assert re.search(
        r"curated 12 samples: 3 a group in the balanced split; 0 generated in this run; curation [0-9a-f]{12}",
        done.stdout,
    )
    assert f"ask the catalog: fairshards query {root} balance" in done.stdout
    assert "varianc" in error_of(fairshards("curate", root, "--set", "filters.varianc.max=1"))


def test_train_prints_the_worst_group_of_each_method(copy: Callable[[], Path]) -> None:
    root = copy()
    done = fairshards(
        "train", root, "--quiet", "--set", "training.methods=[erm]", "--set", "training.settings.main.epochs=1"
    )
    assert done.exit_code == 0, done.output
    ((worst,),) = run_query(root, "SELECT min(accuracy) FROM group_metrics WHERE split = 'test'")[1]
    assert re.search(rf"ERM .*{100 * worst:.1f}", done.stdout), done.stdout
    assert "erm" in error_of(fairshards("train", root, "--set", "training.methods=[ermm]"))


def test_report_prints_the_page_that_it_wrote(copy: Callable[[], Path]) -> None:
    root = copy()
    (root / "report.html").unlink(missing_ok=True)
    done = fairshards("report", root)
    assert (done.exit_code, done.stdout) == (0, f"{root / 'report.html'}\n")
    assert "<html" in (root / "report.html").read_text()
    assert "no run in" in error_of(fairshards("report", root / "nothing"))


def test_query_answers_in_each_format(small: Small, tmp_path: Path) -> None:
    counted = "SELECT group_name, count(*) AS samples FROM samples GROUP BY 1 ORDER BY 1 LIMIT 1"
    answered = fairshards("query", small.root, counted, "--format", "csv")
    assert (answered.exit_code, answered.stdout) == (0, "group_name,samples\nlandbird|land,4\n")
    assert json.loads(fairshards("query", small.root, counted, "-f", "json").stdout) == [
        {"group_name": "landbird|land", "samples": 4}
    ]
    named = fairshards("query", small.root, "samples", "--param", "limit=2", "-f", "csv", "--to", tmp_path / "answer")
    assert named.exit_code == 0 and len((tmp_path / "answer").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (("SELECT 1", "--format", "xls"), "format 'xls' is not known"),
        (("SELECT nothing FROM samples",), "nothing"),
        (("DELETE FROM samples",), "only reads"),
        (("balanc",), "balance"),
    ],
)
def test_query_refuses_in_words(small: Small, question: tuple[str, ...], message: str) -> None:
    assert message in error_of(fairshards("query", small.root, *question))


def test_explain_takes_the_beginning_of_an_id(small: Small) -> None:
    ((sample, group),) = run_query(small.root, "SELECT sample_id, group_name FROM samples ORDER BY 1 LIMIT 1")[1]
    told = fairshards("explain", small.root, sample[:10])
    assert told.exit_code == 0 and sample in told.stdout and group in told.stdout
    assert "nosuchsample" in error_of(fairshards("explain", small.root, "nosuchsample"))


def test_verify_ends_with_1_where_a_shard_is_damaged(copy: Callable[[], Path]) -> None:
    root = copy()
    assert fairshards("verify", root, "--samples", "2").exit_code == 0
    damaged = min(root.glob("curated/*/*.tar"))
    damaged.write_bytes(damaged.read_bytes()[:-512])
    done = fairshards("verify", root)
    assert done.exit_code == 1 and damaged.name in done.output and "Traceback" not in done.output


def test_plan_ends_with_1_where_a_check_fails(small: Small, tmp_path: Path) -> None:
    recipe, output = small.folder / "recipe.yaml", tmp_path / "planned"
    done = fairshards("plan", recipe, "--output", output)
    assert done.exit_code == 0 and "landbird|water" in done.stdout, done.output
    assert not list(output.glob("raw/*")) and not (output / "catalog.duckdb").exists()
    refused = fairshards("plan", recipe, "--set", f"generator.model={tmp_path / 'gone'}")
    assert refused.exit_code == 1 and str(tmp_path / "gone") in refused.output


def test_doctor_ends_as_its_checks_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for code in (0, 1):
        monkeypatch.setattr("fairshards.pipeline.cli.doctor.doctor", lambda console, code=code: code)
        assert fairshards("doctor").exit_code == code


def test_schema_is_one_of_json_that_names_a_recipes_sections() -> None:
    printed = fairshards("schema")
    assert printed.exit_code == 0 and {"$defs"} <= json.loads(printed.stdout).keys()
    assert all(f'"{section}"' in printed.stdout for section in ("quota", "filters", "generator", "training"))


def test_recipes_are_listed_one_a_line() -> None:
    printed = fairshards("recipes")
    assert printed.stdout.splitlines() == list(shipped_recipes()) and "pocket-waterbirds" in printed.stdout
    assert printed.exit_code == 0


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("discover", "pocket-waterbirds"), "has no section discovery"),
        (("calibrate-pruning", "nothing"), "no run in 'nothing'"),
        (("choose-lambda", "pocket-waterbirds"), "this command takes kind ehr alone"),
    ],
)
def test_long_commands_refuse_what_is_not_theirs_at_once(command: tuple[str, ...], message: str) -> None:
    assert message in error_of(fairshards(*command))


def test_evaluate_is_for_records(small: Small) -> None:
    assert "this command takes kind ehr alone" in error_of(fairshards("evaluate", small.root))
