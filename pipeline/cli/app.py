"""The command line. Thin: it reads options, calls the driver, and prints; torch is imported by stages only."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperCommand

from fairshards.pipeline.cli.messages import expected_errors
from fairshards.pipeline.cli.pages import print_plan, print_summary
from fairshards.pipeline.kinds import kind_named, kind_of, known_kinds, load_recipe, load_recipe_of
from fairshards.pipeline.recipe.base import RecipeBase, RecipeError
from fairshards.pipeline.recipe.loading import PICTURES, shipped_recipes
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.recipe.records import EhrRecipe
from fairshards.pipeline.run import interrupts
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.run.progress import Reporter
from fairshards.pipeline.run.stages import STAGES

app = typer.Typer(
    name="fairshards",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Balanced synthetic shards from a biased dataset, a catalog of every decision, and trainers.\n\n"
    "Example: fairshards run pocket-waterbirds",
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
EXTRA = {"allow_extra_args": True, "ignore_unknown_options": False}

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A YAML file, or the name of a shipped recipe.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run folder, or its name below ./runs.")]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one key of the recipe.")]
RunnerName = Annotated[str, typer.Option("--runner", help="local, portable, flink, dataflow or prism.")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Local worker processes.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="The run folder. Default: <output>/<name>.")]


class TakesBeamOptions(TyperCommand):
    """A command whose arguments after ``--`` are Beam's; ``context.args`` keeps the mark, and what came before it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse what stands before ``--``."""
        end = args.index("--") if "--" in args else len(args)
        super().parse_args(ctx, args[:end])
        ctx.args = [*ctx.args, *args[end:]]
        return list(ctx.args)


@app.command("run", cls=TakesBeamOptions, context_settings=EXTRA)
def run_command(
    context: typer.Context,
    recipe: RecipeName,
    sets: Sets = None,
    runner: RunnerName = "",
    workers: Workers = None,
    until: Annotated[str, typer.Option(help="Stop after this stage.")] = "report",
    output: Output = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Run a recipe: source, plan, generate, score, curate, train, report. Run it again to resume.

    Examples:

      fairshards run pocket-waterbirds

      fairshards run pocket-waterbirds --set quota.per_group=50 --until curate

      fairshards run my.yaml --runner flink -- --flink_master=localhost:8081
    """
    with expected_errors(debug):
        _run(context, load_recipe(recipe, sets or []), until, output)


@app.command("discover", cls=TakesBeamOptions, context_settings=EXTRA)
def discover_command(
    context: typer.Context,
    recipe: RecipeName,
    sets: Sets = None,
    runner: RunnerName = "",
    workers: Workers = None,
    output: Output = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Find what a classifier leans on: captions, phrases, edits, a ranked table and report.html. No bias label is used.

    Examples:

      fairshards discover pocket-aspire

      fairshards discover my.yaml --set discovery.edits_per_phrase=100

      fairshards query runs/pocket-aspire spurious --param class=waterbird
    """
    with expected_errors(debug):
        chosen = load_recipe_of(Recipe, recipe, sets or [])
        if chosen.discovery is None:
            raise RecipeError(
                f"recipe {recipe} has no section discovery, which names captioner, extractor, segmenter "
                "and editor; see the recipe pocket-aspire"
            )
        _run(context, chosen, "discover", output)


@app.command("generate", cls=TakesBeamOptions, context_settings=EXTRA)
def generate_command(
    context: typer.Context,
    run: RunName,
    runner: RunnerName = "",
    workers: Workers = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Generate and score what an existing run still lacks. Example: fairshards generate runs/pocket-waterbirds"""
    _stage(context, run, "generate")


@app.command("curate", cls=TakesBeamOptions, context_settings=EXTRA)
def curate_command(
    context: typer.Context,
    run: RunName,
    sets: Sets = None,
    runner: RunnerName = "",
    workers: Workers = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Decide again over what is there, for instance with another threshold; no model is loaded.

    The earlier curation stays beside the new one. Groups that fall short are reported, not filled: `run` does that.

    Example: fairshards curate runs/pocket-waterbirds --set filters.clip_alignment.min=0.25
    """
    _stage(context, run, "curate", sets)


@app.command("train", context_settings=EXTRA)
def train_command(
    context: typer.Context, run: RunName, sets: Sets = None, quiet: Quiet = False, debug: Debug = False
) -> None:
    """Train on a run's shards. Example: fairshards train runs/pocket-waterbirds --set training.methods=[ffr]"""
    _stage(context, run, "train", sets)


@app.command("evaluate", cls=TakesBeamOptions, context_settings=EXTRA)
def evaluate_command(
    context: typer.Context,
    run: RunName,
    sets: Sets = None,
    runner: RunnerName = "",
    workers: Workers = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Judge the synthetic rows of a run over health records: utility, fairness, fidelity, privacy; writes the report.

    Examples:

      fairshards evaluate runs/btgan-support2

      fairshards evaluate runs/btgan-support2 --set evaluation.bootstrap=1000

      fairshards query runs/btgan-support2 evaluation --param aspect=fairness
    """
    with expected_errors(debug):
        folder = _opened(run)
        recipe = load_recipe_of(EhrRecipe, str(folder.root / "recipe.yaml"), sets or [])
        _run(context, recipe, "report", folder.root, again=True)


@app.command("report")
def report_command(run: RunName, debug: Debug = False) -> None:
    """Write a run's report.html again. Example: fairshards report runs/pocket-waterbirds"""
    with expected_errors(debug):
        from fairshards.pipeline.report.page import write_report
        from fairshards.pipeline.run.folder import open_run

        folder = open_run(run)
        recipe = _recipe_of(folder.root)
        Console().print(write_report(folder, recipe, kind_of(recipe).pages), soft_wrap=True)


@app.command("plan")
def plan_command(recipe: RecipeName, sets: Sets = None, output: Output = None, debug: Debug = False) -> None:
    """Show what a recipe would make, how much and how long, and all that is checked before a run; makes nothing.

    Exit code 1 where a check fails.

    Example: fairshards plan ffr_celeba_hq --set source.bias_ratio=0.99
    """
    with expected_errors(debug):
        chosen = load_recipe(recipe, sets or [])
        sys.exit(0 if print_plan(chosen, output, kind_of(chosen).pages, Console()) else 1)


@app.command("query")
def query_command(
    run: RunName,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="SQL, or the name of a named query.")],
    out: Annotated[str, typer.Option("--format", "-f", help="table, csv, json or parquet.")] = "table",
    to: Annotated[Path | None, typer.Option("--to", help="Write to this file.")] = None,
    params: Annotated[
        list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="A named query's parameter.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Ask a run's catalog. Read-only.

    Examples:

      fairshards query runs/pocket-waterbirds balance

      fairshards query runs/pocket-waterbirds samples --param limit=5

      fairshards query runs/pocket-waterbirds "SELECT reason, count(*) FROM rejects GROUP BY 1" -f csv
    """
    with expected_errors(debug):
        from fairshards.catalogs.questions.formats import require_format, write_result
        from fairshards.catalogs.questions.query import run_query
        from fairshards.pipeline.run.folder import open_run

        require_format(out)  # before a file is opened
        given = dict(param.partition("=")[::2] for param in params or [])
        columns, rows = run_query(open_run(run).root, sql, given or None, say=_aside)
        binary = out == "parquet"
        with open(to, "wb" if binary else "w") if to else nullcontext(sys.stdout) as stream:
            write_result(columns, rows, out, stream)


@app.command("explain")
def explain_command(
    run: RunName,
    sample: Annotated[str, typer.Argument(help="A sample's id, or the beginning of it.")],
    debug: Debug = False,
) -> None:
    """Tell a sample's life story. Example: fairshards explain runs/pocket-waterbirds 3fa2"""
    with expected_errors(debug):
        from fairshards.catalogs.questions.explain import life_story
        from fairshards.catalogs.questions.story import render
        from fairshards.pipeline.run.folder import open_run

        render(life_story(open_run(run).root, sample, say=_aside), Console())


@app.command("verify")
def verify_command(
    run: RunName,
    samples: Annotated[int, typer.Option(min=0, help="Regenerate this many samples.")] = 0,
    clean: Annotated[bool, typer.Option("--clean", help="Delete files that no current manifest names.")] = False,
    debug: Debug = False,
) -> None:
    """Check every shard against its manifest; regenerate samples and compare pixels, or rows.

    Example: fairshards verify runs/pocket-waterbirds --samples 8
    """
    with expected_errors(debug):
        from fairshards.pipeline.verify import verify

        folder = _opened(run)
        sys.exit(verify(folder, _recipe_of(folder.root), samples, clean, Console()))


@app.command("calibrate-pruning")
def calibrate_pruning_command(
    run: RunName,
    samples: Annotated[int, typer.Option(min=16, help="How many of the run's samples are made again.")] = 512,
    steps: Annotated[str, typer.Option(help="Steps to look at, e.g. 4,6,8. Default: seven of them.")] = "",
    lost: Annotated[float, typer.Option(min=0.0, max=0.5, help="Largest share of good samples to lose.")] = 0.02,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Find the step and the limits at which pruning in flight saves most, on the samples of a finished run.

    Example: fairshards calibrate-pruning runs/pocket-waterbirds --steps 4,6,8,10
    """
    with expected_errors(debug):
        from fairshards.pipeline.pictures.pruning import calibrate_pruning, lines
        from fairshards.pipeline.run.folder import open_run

        folder = open_run(run)
        recipe = load_recipe_of(Recipe, str(folder.root / "recipe.yaml"))
        wanted = [int(step) for step in steps.split(",") if step]
        found = calibrate_pruning(folder, recipe, samples, wanted, lost, Reporter(quiet=quiet))
        print("\n".join(lines(found, recipe.generator.steps)))


@app.command("choose-lambda")
def choose_lambda_command(
    recipe: RecipeName,
    lams: Annotated[str, typer.Option(help="Weights to try; 0 always is.")] = "1,3,10",
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each; a single one's AUROC moves by 0.01.")] = 1,
    given_y: Annotated[bool, typer.Option("--given-y", help="Minimise I(Yhat; S | Y): trust the labels.")] = False,
    loss: Annotated[float, typer.Option(min=0.0, help="AUROC that may be lost against lambda 0.")] = 0.02,
    sets: Sets = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Choose the weight of a Bt-GAN's information constraint from biased training rows alone; trains one for each.

    A stopped choice goes on, and one with more weights or seeds trains only what is new (OUTPUT/NAME.choose-lambda).

    Example: fairshards choose-lambda btgan_support2 --lams 1,3,10 --seeds 3
    """
    with expected_errors(debug):
        from fairshards.pipeline.records.lambda_table import choose_lambda, print_choice

        chosen = load_recipe_of(EhrRecipe, recipe, sets or [])
        weights = [float(part) for part in lams.split(",") if part]
        found, best = choose_lambda(chosen, weights, given_y, loss, Reporter(quiet=quiet), seeds)
        print_choice(found, best, Console(), loss)


@app.command("doctor")
def doctor_command() -> None:
    """Show versions, devices, models found, and runners that work here. Example: fairshards doctor"""
    with expected_errors(debug=False):
        from fairshards.pipeline.cli.doctor import doctor

        sys.exit(doctor(Console()))


@app.command("schema")
def schema_command(
    kind: Annotated[str, typer.Option("--kind", help="Of recipes of this kind; all: of every kind.")] = PICTURES,
    debug: Debug = False,
) -> None:
    """Print the recipe's JSON Schema, for editors.

    Examples:

      fairshards schema > recipe.schema.json

      fairshards schema --kind ehr
    """
    import json

    with expected_errors(debug):
        if kind == "all":
            schemas = {name: kind_named(name).recipe.model_json_schema() for name in known_kinds()}
            print(json.dumps(schemas, indent=1))
        else:
            print(json.dumps(kind_named(kind).recipe.model_json_schema(), indent=1))


@app.command("recipes")
def recipes_command() -> None:
    """List the recipes that ship with fairshards. Example: fairshards recipes"""
    for name in shipped_recipes():
        print(name)


def _aside(text: str) -> None:
    """Print one line that is no part of an answer."""
    Console(stderr=True).print(escape(text), highlight=False, soft_wrap=True)


def _stage(context: typer.Context, run: str, until: str, sets: list[str] | None = None) -> None:
    """Do the stages of an existing run that it still lacks, up to this one."""
    with expected_errors(context.params["debug"]):
        folder = _opened(run)
        _run(context, load_recipe(str(folder.root / "recipe.yaml"), sets or []), until, folder.root, again=True)


def _run(context: typer.Context, recipe: RecipeBase, until: str, output: Path | None, again: bool = False) -> None:
    """Run a recipe with the command's runner, workers and quiet; ``again``: with what a run in ``output`` has."""
    if until not in STAGES:
        raise RecipeError(f"--until {until!r}: expected one of {', '.join(STAGES)}")
    from fairshards.pipeline.driver import run
    from fairshards.pipeline.run.beam_options import beam_options
    from fairshards.pipeline.run.context import Anew
    from fairshards.pipeline.run.jobs import Launcher

    asked = context.params
    name = asked.get("runner") or recipe.runner.name
    workers = asked.get("workers") or (recipe.runner.workers if name == "local" else 1)
    launcher = Launcher(name, workers, beam_options(context.args, name, "sets" in asked), recipe.runner.threads)
    anew = Anew(generate=until == "generate", read=False) if again else Anew()
    result = run(recipe, launcher, Reporter(quiet=asked["quiet"]), until, output, anew)
    print_summary(recipe, result, kind_of(recipe).pages, Console())


def _opened(run: str) -> RunFolder:
    """Return an existing run's folder, and go where its recipe's relative paths are found."""
    from fairshards.pipeline.run.folder import open_run

    folder = open_run(run)
    if home := folder.go_home():
        _aside(f"relative paths of the recipe are looked for in {home}, where the run was made")
    return folder


def _recipe_of(root: Path) -> RecipeBase:
    return load_recipe(str(root / "recipe.yaml"))


def main() -> None:
    """Run the command line."""
    interrupts.listen()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Beam logs a failed step's whole traceback, and libraries warn at import; --debug shows them all
    logging.basicConfig(level=logging.WARNING if "--debug" in sys.argv else logging.CRITICAL)
    app()
