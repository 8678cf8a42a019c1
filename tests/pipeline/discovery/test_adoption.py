"""Edits as samples: which ones, what their plan rows say, and how far rho is from its class's mean."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fairshards.catalogs.manifests.identity import digest
from fairshards.pipeline.discovery.adoption import adoptable, adopted, attribution_excess, plan_rows
from fairshards.pipeline.discovery.association import Lift
from fairshards.pipeline.discovery.phrases_found import Found
from fairshards.pipeline.discovery.ranking import RankedPhrase
from fairshards.pipeline.discovery.stage import Discovered
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.pictures.described import description
from fairshards.pipeline.pictures.discovery_plan import steps_table
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.pictures import UNKNOWN_BIAS_ATTRIBUTE, ClassPrompt, Prompts, Recipe
from fairshards.pipeline.run.context import Run
from fairshards.pipeline.run.folder import RunFolder

Row = dict[str, Any]


def phrase(y: int, name: str, rank: int = 1, spurious: bool = True) -> RankedPhrase:
    return RankedPhrase(
        y, name, "background", rank, spurious, 1.0, 0.4, 9, 4, 4, 2, 0.5, 0.2, 0.8, 0.1, -0.2, Lift(1.8, 1.4, 2.0), 0.3
    )


def edit(
    number: int, y: int = 1, group: str = "water", succeeded: bool = True, rho: float | None = 0.5, **more: Any
) -> Row:
    return {
        "edit_id": digest(number)[:32],
        "y": y,
        "class_name": ("landbird", "waterbird")[y],
        "phrase_group": group,
        "succeeded": succeeded,
        "mask_attribution": rho,
        "task": f"edits-{number // 4:05d}",
        "editor": "inpaint",
        "prompt": "a photo of a waterbird on land",
        "negative_prompt": "",
        "noise_seed": number,
        "steps": 5,
        "guidance_scale": 2.0,
        "eta": 0.0,
        "settings": "{}",
        "editor_fingerprint": "e" * 64,
        "height": 64,
        "width": 60,
        **more,
    }


def found(*edits: Row) -> Discovered:
    ranked = (phrase(0, "land"), phrase(1, "water"), phrase(1, "buoy", 2), phrase(1, "sky", 3, False))
    return Discovered({}, ranked, Found((), {}), edits, Path("there"), "t" * 64, (0.9, 0.9))


def recipe(*changes: str) -> Recipe:
    made = load_recipe("pocket-aspire", changes)
    prompts = Prompts(by_class={"waterbird": ClassPrompt(negative=None, negatives=(), spurious=("water", "buoy"))})
    return made.model_copy(update={"bias": UNKNOWN_BIAS_ATTRIBUTE, "pairs": (), "prompts": prompts})


def chosen(*changes: str, edits: tuple[Row, ...]) -> list[Row]:
    what = recipe(*changes)
    assert what.spurious_free is not None
    return plan_rows(what, what.spurious_free, edits)


def test_successful_edits_of_the_first_reported_phrases_are_taken() -> None:
    edits = (
        edit(0),
        edit(1, group="buoy"),
        edit(2, group="sky"),
        edit(3, succeeded=False),
        edit(4, 0, "land"),
        edit(5, 0, "water"),
    )
    settings = recipe().spurious_free
    assert settings is not None

    def numbers(top: int) -> list[int]:
        taken = adoptable(found(*edits), settings.model_copy(update={"top": top}), 2)
        return [row["noise_seed"] for row in taken]

    assert numbers(3) == [0, 1, 4] and numbers(1) == [0, 4]


def test_a_plan_row_says_what_is_true_of_the_edit() -> None:
    rows = chosen(edits=(edit(0), edit(1), edit(2, 0, "land")))
    assert [row["sample_id"] for row in rows] == [digest(n)[:32] for n in range(3)]
    assert sorted(row["replicate"] for row in rows[:2]) == [0, 1] and rows[2]["replicate"] == 0
    told = {
        "kind": "edit",
        "b": -1,
        "group_name": "waterbird|unknown",
        "prompt": "a photo of a waterbird on land",
        "generator": "pocket:pocket-diffusion",
        "generator_fingerprint": "e" * 64,
        "height": 64,
        "width": 60,
        "task": "edits-00000",
        "negatives": None,
    }
    assert told.items() <= rows[0].items()
    assert json.loads(rows[0]["spurious"]) == ["water", "buoy"] and rows[2]["spurious"] is None


def test_an_instruction_is_no_prompt_that_a_picture_could_resemble() -> None:
    (row,) = chosen(edits=(edit(0, editor="instruct", prompt="turn the background of water into land."),))
    assert row["prompt"] == "a photo of a waterbird"


def test_rho_is_compared_with_the_mean_of_its_class() -> None:
    edits = [edit(0, rho=0.2), edit(1, rho=0.6), edit(2, rho=None), edit(3, 0, "land", rho=-0.1)]
    excess = [attribution_excess(edits)[row["edit_id"]] for row in edits]
    assert excess == [pytest.approx(-0.2), pytest.approx(0.2), None, 0.0]


def test_edits_alone_need_some_of_every_class(tmp_path: Path) -> None:
    made = recipe("spurious_free.make=edit")
    assert made.spurious_free is not None
    with pytest.raises(RecipeError, match="no edit of a reported phrase succeeded for landbird: set"):
        adopted(Run(made, RunFolder(tmp_path)), found(edit(0)), None)  # type: ignore[arg-type]


def test_without_an_edit_the_pool_is_empty(tmp_path: Path) -> None:
    made = recipe("spurious_free.make=both")
    assert made.spurious_free is not None
    pool = adopted(Run(made, RunFolder(tmp_path)), found(), None)  # type: ignore[arg-type]
    assert not pool.candidates and not pool.manifests


@pytest.mark.parametrize(
    ("make", "steps", "made"),
    [
        ("generate", {"personalise", "generate"}, "generated by pocket:pocket-diffusion and"),
        ("edit", {"take edits"}, "edited from training images by pocket:pocket-diffusion and"),
        (
            "both",
            {"take edits", "personalise", "generate"},
            "edited from training images by pocket:pocket-diffusion or",
        ),
    ],
)
def test_plan_and_card_say_where_pictures_come_from(make: str, steps: set[str], made: str) -> None:
    what, said = load_recipe("pocket-aspire", [f"spurious_free.make={make}"]), io.StringIO()
    Console(file=said, width=200).print(steps_table(what, 1000))
    assert {step for step in ("take edits", "personalise", "generate") if f" {step} " in said.getvalue()} == steps
    assert made in description(what)
