"""The report's sections that only pictures have: phrases, bits, contact sheets, and what stands above them."""

from __future__ import annotations

from fairshards.pipeline.pictures.described import fingerprints, mixes, recipe_lines
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.report.comparison import comparison
from fairshards.pipeline.report.pages import Facts, RunView, Section
from fairshards.pipeline.report.pictures import group_sheets, rejected_sheets
from fairshards.pipeline.report.reader import Row
from fairshards.pipeline.report.sections import (
    BALANCE,
    CALIBRATION,
    FILTERS,
    GROUPS,
    REJECTS,
    RESULTS,
    SCORES,
    accuracies_of,
)
from fairshards.pipeline.report.spurious import RankedClass, ranked_classes
from fairshards.pipeline.report.summary import resolved_yaml, totals, versions

View = RunView[Recipe]


def _ranked(view: View) -> list[RankedClass]:
    return ranked_classes(view.reader, view.folder.root)


def _mixes(view: View) -> list[Row]:
    return list(mixes(view.reader, view.recipe))


def _example(view: View) -> str:
    """Return the beginning of a sample's id, for commands."""
    return str(view.reader.row("kept_pictures", per_group=1).get("sample_id", "SAMPLE"))[:8]


def _headline(view: View) -> Facts:
    accuracies = view.once(accuracies_of)
    return {
        "versus": comparison(accuracies, view.recipe),
        "accuracies": accuracies,
        "ranked": view.once(_ranked),
        "balance": view.balance,
        "totals": totals(view.balance),
        "mixes": view.once(_mixes),
    }


def _run(view: View) -> Facts:
    curations = view.reader.row("run").get("curations") or ()
    return {
        "lines": recipe_lines(view.recipe, view.reader),
        "fingerprints": fingerprints(view.reader),
        "versions": versions(view.reader),
        "resolved": resolved_yaml(view.recipe),
        "earlier": [name for name in curations if name != view.reader.curation],
    }


def _spurious(view: View) -> Facts | None:
    ranked = view.once(_ranked)
    return {"ranked": ranked} if ranked else None


def _bits(view: View) -> Facts:
    return {"mixes": view.once(_mixes)}


def _kept(view: View) -> Facts:
    return {
        "sheets": group_sheets(view.reader, view.folder.root, view.groups, view.filters),
        "balance": view.balance,
        "totals": totals(view.balance),
        "example": view.once(_example),
    }


def _rejected(view: View) -> Facts:
    return {"rejected": rejected_sheets(view.reader, view.folder.root)}


def _told_apart(view: View) -> Facts | None:
    rows = view.reader.rows("g_detector")
    return {"told_apart": rows} if rows else None


def _next(view: View) -> Facts:
    return {"example": view.once(_example)}


HEADLINE = Section("", "", "pictures/headline.html.jinja", _headline)
SECTIONS: tuple[Section[Recipe], ...] = (
    Section("run", "What was run", "pictures/run.html.jinja", _run),
    Section("spurious", "Spurious phrases", "pictures/spurious.html.jinja", _spurious),
    RESULTS,
    GROUPS,
    BALANCE,
    Section("bits", "Shortcut in bits", "pictures/bits.html.jinja", _bits),
    FILTERS,
    Section("kept", "Kept", "pictures/kept.html.jinja", _kept),
    Section("rejected", "Rejected", "pictures/rejected.html.jinja", _rejected),
    SCORES,
    REJECTS,
    CALIBRATION,
    Section("g-detector", "", "pictures/g_detector.html.jinja", _told_apart),
    Section("next", "Where to go next", "pictures/next.html.jinja", _next),
)
