"""Sections that any kind may put on its report, where its samples are planned by group, made, filtered and counted."""

from __future__ import annotations

from typing import Any

from fairshards.pipeline.report.accuracy import Accuracies, accuracies
from fairshards.pipeline.report.calibration import calibrations
from fairshards.pipeline.report.histograms import histograms
from fairshards.pipeline.report.pages import Facts, RunView, Section
from fairshards.pipeline.report.scores import meanings
from fairshards.pipeline.report.summary import accept_table, shortfalls, totals

View = RunView[Any]


def accuracies_of(view: View) -> Accuracies:
    """Return the accuracies of the run's trainings; asked through ``view.once``."""
    return accuracies(view.reader)


def _results(view: View) -> Facts:
    return {"accuracies": view.once(accuracies_of)}


def _groups(view: View) -> Facts:
    methods = view.once(accuracies_of)
    names = list(dict.fromkeys(name for row in methods.rows for name in row.groups))
    return {"accuracies": methods, "tested": names}


def _balance(view: View) -> Facts:
    return {
        "balance": view.balance,
        "totals": totals(view.balance),
        "shortfalls": shortfalls(view.settings, view.balance),
        "balanced": view.settings.get("per_group"),
    }


def _filters(view: View) -> Facts:
    accept = accept_table(view.reader, view.filters, view.groups)
    return {"accept": accept, "balance": view.balance, "totals": totals(view.balance)}


def _scores(view: View) -> Facts:
    return {"scores": histograms(view.reader, view.settings, view.groups), "balance": view.balance}


def _rejects(view: View) -> Facts:
    return {"reasons": view.reader.rows("reasons"), "meanings": meanings(view.filters)}


def _calibration(view: View) -> Facts | None:
    limits = calibrations(view.reader)
    return {"calibrations": limits} if limits else None


RESULTS = Section[Any]("results", "Results", "results.html.jinja", _results)
GROUPS = Section[Any]("groups", "Accuracy per group", "groups.html.jinja", _groups)
BALANCE = Section[Any]("balance", "Balance", "balance.html.jinja", _balance)
FILTERS = Section[Any]("filters", "Filters", "filters.html.jinja", _filters)
SCORES = Section[Any]("scores", "Scores", "scores.html.jinja", _scores)
REJECTS = Section[Any]("rejects", "Rejects", "rejects.html.jinja", _rejects)
CALIBRATION = Section[Any]("calibration", "", "calibration.html.jinja", _calibration)
