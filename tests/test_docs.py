"""README and docs say what is so: commands parse, code runs, links lead somewhere, tables are those of the results."""

from __future__ import annotations

import importlib.util
import io
import itertools
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from typer.main import get_command
from typer.testing import CliRunner

import fairshards
from benchmarks.ffr.tables import worst_table
from fairshards.catalogs.questions.query import named_queries, run_query
from fairshards.pipeline.cli.app import app
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.recipe.loading import shipped_recipes
from fairshards.pipeline.report.tables import accuracy_table
from tests.pipeline.small import write_recipe

ROOT = Path(__file__).parents[1]
README, RESULTS = ROOT / "README.md", ROOT / "docs" / "results"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
MEASURED = [page for page in PAGES if page.stem not in ("README", "limits", "methods")]
CODE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`((?:[\w-]+/)+[\w.-]+\.\w+)`")
EXTRA = re.compile(r"(?:fairshards|\.)\[(\w+)\]")
LINK = re.compile(r"\]\(([^)\s]+)\)")
ROW = re.compile(r"^(ERM|USB|ASB|FFR|  stage 1 alone)((?: +[\d.]+){4})  ?(\S+) \((\d+)\)$", re.MULTILINE)


def blocks(page: Path, language: str = "") -> Iterator[str]:
    """Yield the fenced blocks of a language."""
    return (code for name, code in CODE.findall(page.read_text()) if name == language)


def commands(page: Path, program: str) -> list[str]:
    """Return the lines of a page's blocks that call a program, and what stands in backquotes in its text."""
    lines = [line for code in blocks(page) for line in code.replace("\\\n", " ").splitlines()]
    inline = re.findall(r"`([^`]+)`", CODE.sub("", page.read_text()).replace("\n", " "))
    return [line for line in (*lines, *inline) if line.startswith(f"{program} ")]


def source(module: str) -> str:
    """Return a module's text and that of the benchmarks that it imports, where its options may be declared."""
    spec = importlib.util.find_spec(module)
    assert spec and spec.origin, module
    text = Path(spec.origin).read_text()
    return text + "".join(source(other) for other in re.findall(r"^from (benchmarks[.\w]+) import", text, re.MULTILINE))


def named(line: str) -> tuple[str, list[str]]:
    """Return a command's name and its arguments."""
    _, name, *arguments = shlex.split(line, comments=True)
    return name, arguments


def shipped(name: str) -> str | None:
    """Return the shipped recipe that a recipe's or a run's name is of."""
    known = shipped_recipes()
    plain = name.removeprefix("runs/")
    return next((other for other in (plain, plain.replace("-", "_")) if other in known), None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_parse_and_their_settings_are_known(page: Path) -> None:
    known = get_command(app).commands  # type: ignore[attr-defined]
    for line in commands(page, "fairshards"):
        name, arguments = named(line)
        options = {option for parameter in known[name].params for option in parameter.opts}
        given = arguments[: arguments.index("--")] if "--" in arguments else arguments
        assert {word.partition("=")[0] for word in given if word.startswith("-")} <= options, line
        sets = [value for option, value in itertools.pairwise(arguments) if option == "--set"]
        if arguments and (recipe := shipped(arguments[0])):
            load_recipe(recipe, sets)
        if name == "query" and len(arguments) > 1:
            assert arguments[1] in named_queries() or arguments[1].split()[0] in ("SELECT", "FROM"), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_calls_is_there(page: Path) -> None:
    """Modules with their options, targets of the Makefile, extras, files, and the sections that links name."""
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for line in commands(page, "make"):
        assert named(line)[0] in targets, line
    for line in commands(page, "python"):
        words = shlex.split(line, comments=True)
        if words[1] == "-m" and words[2] != "pytest":
            code = source(words[2])
            for word in (word[2:].partition("=")[0] for word in words if word.startswith("--")):
                assert re.search(rf"--{word}\b|\b{word.replace('-', '_')}: Annotated", code), line
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(EXTRA.findall(page.read_text())) <= set(extras)
    for file in map(Path, FILE.findall(page.read_text())):
        assert (ROOT / file).exists() or not (ROOT / file.parts[0]).is_dir(), file
    for target in LINK.findall(page.read_text()):
        path, _, section = target.partition("#")
        if not path.startswith("https:"):
            linked = (page.parent / path).resolve() if path else page
            assert linked.exists(), target
            titles = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE) if section else []
            anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
            assert not section or section in anchors, target


@pytest.mark.parametrize("page", MEASURED, ids=lambda page: page.stem)
def test_a_table_of_numbers_has_its_command_beside_it(page: Path) -> None:
    for section in re.split(r"^##+ ", page.read_text(), flags=re.MULTILINE):
        if re.search(r"^\|.*\d\.\d.*\|$", section, re.MULTILINE):
            assert re.search(r"\b(python -m|make|fairshards) \w", section), section.splitlines()[0]


def test_the_readme_is_two_screens() -> None:
    assert len(README.read_text().splitlines()) <= 120


def test_the_readme_shows_what_a_run_prints_and_the_recipe_expects() -> None:
    shown = next(code for code in blocks(README) if "test accuracy" in code)
    trainings: list[SimpleNamespace] = []
    for name, numbers, group, n in ROW.findall(shown):
        worst, balanced, average, adjusted = (float(number) / 100 for number in numbers.split())
        test = {"worst_group": worst, "balanced": balanced, "average": average, "adjusted_average": adjusted,
                "worst_group_name": group, "worst_n": n}  # fmt: skip
        if name == "  stage 1 alone":
            trainings[-1].metrics["stage1"] = {"test": test}
        else:
            head = SimpleNamespace(settings={"selection": ""})
            trainings.append(SimpleNamespace(name=name, loss="erm", seed=0, test=test, metrics={}, head=head))
    console = Console(file=io.StringIO(), width=80)
    console.print(accuracy_table(trainings))
    printed = [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    table = printed[: printed.index(next(line for line in printed if line.startswith("Model selection")))]
    assert "\n".join(table) in shown
    header = " ".join(line.lstrip("# ") for line in (ROOT / "recipes/pocket-waterbirds.yaml").read_text().splitlines())
    expected = ", ".join(f"{training.name} {100 * training.test['worst_group']:.1f}" for training in trainings)
    assert expected in header


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a small run where the pages have that of pocket-waterbirds."""
    folder = tmp_path_factory.mktemp("docs")
    done = CliRunner().invoke(app, ["run", str(write_recipe(folder)), "--until", "curate", "-q", "-o",
                                    str(folder / "runs/pocket-waterbirds")])  # fmt: skip
    assert done.exit_code == 0, done.output
    return folder


def test_the_readmes_questions_are_answered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    ((sample,), *_) = run_query("runs/pocket-waterbirds", "SELECT sample_id FROM samples ORDER BY 1")[1]
    asked = [line for line in commands(README, "fairshards") if named(line)[0] in ("query", "explain")]
    for line in asked:
        name, arguments = named(line)
        done = CliRunner().invoke(app, [name, *(sample[:4] if word == "3fa2" else word for word in arguments)])
        assert done.exit_code == 0, done.output
    assert len(asked) >= 5 and (folder / "samples.parquet").is_file()


def test_the_readmes_training_script_reads_the_shards(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    for code in blocks(README, "python"):
        exec(compile(code, "README.md", "exec"), {})
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "16 ['landbird|land', 'landbird|water', 'waterbird|land', 'waterbird|water']"
    assert sorted(line.split("]) ")[1] for line in lines) == [f"{y} {b}" for y in (0, 1) for b in ("land", "water")
                                                              for _ in range(4)]  # fmt: skip
    assert all(line.startswith("torch.Size([3, 32, 32]) ") for line in lines)


def test_the_pages_imports_are_there() -> None:
    for page in PAGES:
        for code in blocks(page, "python"):
            exec("\n".join(line for line in code.splitlines() if line.startswith(("from ", "import "))), {})
            assert all(hasattr(fairshards, name) for name in re.findall(r"\bfs\.(\w+)", code))


def test_the_pages_settings_are_a_recipes() -> None:
    import yaml

    (filters,) = blocks(ROOT / "docs/filters.md", "yaml")
    given = load_recipe("pocket-waterbirds", [f"filters={json.dumps(yaml.safe_load(filters)['filters'])}"])
    assert [*given.filters] == ["group_judge", "clip_alignment", "variance", "silhouette", "near_duplicates"]
    (cohort,) = blocks(ROOT / "docs/records.md", "yaml")
    table = load_recipe("btgan_support2", [f"cohort={json.dumps(yaml.safe_load(cohort)['cohort'])}"])
    assert table.cohort.reader == "table"  # type: ignore[union-attr]


def test_five_seeds_are_those_of_the_benchmark() -> None:
    cells = json.loads((RESULTS / "ffr.json").read_text())["cells"]
    assert worst_table([row for rows in cells.values() for row in rows]) in (ROOT / "docs/results.md").read_text()


@pytest.mark.parametrize(("cue", "name"), [("reed", "landbird"), ("buoy", "waterbird")])
def test_discoverys_table_is_that_of_the_benchmark(cue: str, name: str) -> None:
    """A line a planted object: rank, hits and the most innocent phrase of each seed."""
    worlds = json.loads((RESULTS / "discovery.json").read_text())[cue].values()
    (seeds,) = zip(*(world["cues"] for world in worlds), strict=True)
    cells = [", ".join(said) for said in (
        [str(seed["rank"]) for seed in seeds], [f"{seed['hits']} of {seed['edits']}" for seed in seeds],
        [f"{seed['innocent']:.0%}" for seed in seeds])]  # fmt: skip
    reported = f"{sum(seed['reported'] for seed in seeds)} of {len(seeds)}"
    line = f"| a {cue} beside 97% of {name}s | {' | '.join(cells)} | {reported} |"
    assert line in (ROOT / "docs/discovery.md").read_text()


def test_discoverys_figures_are_those_of_the_recipe() -> None:
    """Worst group / balanced accuracy of ERM, ASPIRE+ERM and ASPIRE+DFR."""
    header = " ".join(line.lstrip("# ") for line in (ROOT / "recipes/pocket-aspire.yaml").read_text().splitlines()[:10])
    expected = re.findall(r"[\d.]+ / [\d.]+\d", header)
    page = " ".join((ROOT / "docs/discovery.md").read_text().split())
    assert len(expected) == 3 and "{}, {} and {}".format(*expected) in page
