"""The cohort stage: read health records, hold them against their schema, split them, and commit what may be told.

Rows stay in two Parquet files of the run folder that only their owner can read. The catalog, logs and messages get
counts, reasons and the schema; never a patient's value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from catalogs.cohorts.checked import Checked, check_cohort
from catalogs.cohorts.cohort import Cohort, parquet_bytes
from catalogs.cohorts.inferred import read_table
from catalogs.cohorts.rare import join_rare, said
from catalogs.cohorts.readers import READERS
from catalogs.cohorts.schema import CohortError, Schema
from catalogs.cohorts.unquoted import unquoted
from catalogs.identity import TASK_DIGITS, task_hash
from catalogs.manifest import OWNER_ONLY, write_local
from pipeline.ehr_recipe import CohortSource, EhrRecipe
from pipeline.planted_bias import planted
from pipeline.progress import Reporter
from pipeline.quota import Group
from pipeline.runfolder import RunFolder
from transforms.ehr import read_frame
from transforms.shards import sha256

VERSION = "cohort/1"


@dataclass(frozen=True)
class CohortResult:
    """A cohort in the run folder.

    Attributes:
        schema: What its columns are.
        train, test: Files of the rows; ``train_sha256`` stands for the former's bytes.
        manifests: The stage's manifest with its content hash.
        classes, values: Names of the label's and of the protected attribute's values that training rows have.
        counts: Training rows by (y, s).
        rejects: How many rows were left out.
    """

    schema: Schema
    attribute: str
    train: Path
    test: Path
    train_sha256: str
    manifests: dict[str, str]
    classes: tuple[str, ...]
    values: tuple[str, ...]
    counts: dict[Group, int]
    rejects: int

    def rows(self, part: str) -> pd.DataFrame:
        """Return the rows of "train" or "test"."""
        return read_frame(getattr(self, part).read_bytes(), self.schema)


def cohort_stage(recipe: EhrRecipe, folder: RunFolder, report: Reporter) -> CohortResult:
    """Read, check and split the cohort.

    Raises:
        CohortError: it can't be read, or nothing usable is left.
    """
    source = recipe.cohort
    checked, classes, values, counts = read_and_check(source)
    schema = checked.schema
    parts = {"train": checked.train, "test": checked.test}
    data = {name: parquet_bytes(pa.Table.from_pandas(rows, preserve_index=False), schema)
            for name, rows in parts.items()}  # fmt: skip
    sums = {name: sha256(content) for name, content in data.items()}
    files = {name: folder.root / "cohort" / f"{name}-{sums[name][:TASK_DIGITS]}.parquet" for name in parts}
    for name, file in files.items():
        if not file.is_file():
            write_local(file, data[name], OWNER_ONLY)
    name, content = _commit(recipe, folder, checked, classes, values, sums)
    result = CohortResult(schema, source.attribute, files["train"], files["test"], sums["train"], {name: content},
                          classes, values, counts, len(checked.rejects))  # fmt: skip
    _say(result, checked, report)
    return result


@unquoted("reading the cohort")
def read_and_check(
    source: CohortSource,
) -> tuple[Checked, tuple[str, ...], tuple[str, ...], dict[Group, int]]:
    """Return the checked cohort with any planted bias, the names of the label's and of the attribute's values that
    training rows have, and training rows by (y, s).

    Raises:
        CohortError: it can't be read, nothing usable is left, or a sub-group is too small to be learned.
    """
    checked = check_cohort(_read(source), source.attribute, source.test_share, source.split_seed)
    schema, (train, test), joined = join_rare(checked.schema, source.attribute, checked.train, checked.test)
    checked = replace(checked, schema=schema, train=train, test=test, joined=joined)
    if source.plant:
        checked = planted(checked, source.attribute, source.plant)
    schema = checked.schema
    found = set(checked.train[source.attribute])
    values = tuple(value for value in schema[source.attribute].categories if value in found)
    classes = schema[schema.label].categories
    counts = _counts(checked.train, schema.label, source.attribute, classes, values)
    small = {f"{classes[y]}, {values[s]}": n for (y, s), n in counts.items() if n < source.smallest_group}
    if small:
        shown = "; ".join(f"{schema.label} {name}: {n}" for name, n in small.items())
        raise CohortError(f"sub-groups of the training rows with fewer than {source.smallest_group} people: {shown}. "
                          "Too few to learn from, and each of them could be told: leave the value out with "
                          "cohort.leave_values, or set cohort.smallest_group")
    return checked, classes, values, counts


def _read(source: CohortSource) -> Cohort:
    path = Path(source.path) if source.path else None
    if source.reader == "table":
        cohort = read_table(path or Path(), source.label or "", [source.attribute], source.categories)
    else:
        cohort = READERS[source.reader](path)
    if source.leave_values:
        cohort = without_values(cohort, source.attribute, source.leave_values)
    if not source.leave_out:
        return cohort
    schema = cohort.schema.without(source.leave_out)
    there = [name for name in source.leave_out if name in cohort.rows.column_names]
    return Cohort(schema, cohort.rows.drop_columns(there), cohort.rejects, cohort.counts)


def without_values(cohort: Cohort, attribute: str, values: Sequence[str]) -> Cohort:
    """Return the cohort without the people whose attribute has one of ``values``; the schema forgets these too.

    Raises:
        CohortError: the attribute has no such value.
    """
    known = cohort.schema[attribute].categories
    if unknown := [value for value in values if value not in known]:
        raise CohortError(f"cohort.leave_values has {unknown}; {attribute} has {len(known)} values, none of them these")
    columns = tuple(replace(column, categories=tuple(v for v in known if v not in values)) if column.name == attribute
                    else column for column in cohort.schema.columns)  # fmt: skip
    gone = pc.fill_null(pc.is_in(cohort.rows[attribute], pa.array(values, pa.string())), False)
    return replace(cohort, schema=replace(cohort.schema, columns=columns), rows=cohort.rows.filter(pc.invert(gone)))


def _counts(
    rows: pd.DataFrame, label: str, attribute: str, classes: tuple[str, ...], values: tuple[str, ...]
) -> dict[Group, int]:
    """Return the rows of every (y, s) that has any, class-major."""
    found = Counter(zip(rows[label], rows[attribute], strict=True))
    counts = {(y, s): found[classes[y], values[s]] for y in range(len(classes)) for s in range(len(values))}
    return {group: count for group, count in counts.items() if count}


def _commit(
    recipe: EhrRecipe, folder: RunFolder, checked: Checked, classes: tuple[str, ...], values: tuple[str, ...],
    sums: dict[str, str],
) -> tuple[str, str]:
    schema, attribute = checked.schema, recipe.cohort.attribute
    rows = [
        {"dataset": schema.name, "split": split, "y": y, "class_name": schema.class_name(classes[y]), "b": s,
         "bias_name": values[s], "group_name": schema.group_name(classes[y], values[s]), "n": n, "status": "ok"}
        for split, part in (("train", checked.train), ("test", checked.test))
        for (y, s), n in _counts(part, schema.label, attribute, classes, values).items()
    ]  # fmt: skip
    rows += [
        {"dataset": schema.name, "split": None, "row": problem.row, "status": "reject", "reason": problem.reason,
         "detail": problem.detail}
        for problem in checked.rejects
    ]  # fmt: skip
    settings = {"schema": schema.to_json(), "attribute": attribute, "rows": sums, "cleared": dict(checked.cleared)}
    if checked.joined:
        settings["joined"] = {name: asdict(one) for name, one in checked.joined.items()}
    ids = [f"{row.get('split')}/{row.get('group_name')}/{row.get('row')}" for row in rows]
    hashed = task_hash("cohort", VERSION, ids, [], settings)
    name = f"cohort/groups-{hashed[:TASK_DIGITS]}.parquet"
    head = folder.commit(name, "cohort", schema.name, rows, task_hash=hashed, settings=settings)
    return name, head.content_sha256


def _say(result: CohortResult, checked: Checked, report: Reporter) -> None:
    label, attribute = result.schema.label, result.attribute
    positive = np.mean(checked.train[label] == result.classes[1])
    shown = ", ".join(f"{value} {sum(n for (_, s), n in result.counts.items() if s == number)}"
                      for number, value in enumerate(result.values))  # fmt: skip
    report.say(f"cohort {result.schema.name}: {len(checked.train)} training rows, {len(checked.test)} test rows "
               f"({result.rejects} rejected); {label} {100 * positive:.1f}%; {attribute}: {shown}")
    if checked.cleared:
        report.say("outside their valid range and made missing: "
                   + ", ".join(f"{name} {count}" for name, count in checked.cleared.items()))
    if checked.joined:
        report.say(said(checked.joined))
