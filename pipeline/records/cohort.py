"""The cohort stage: read health records, hold them against their schema, split them, and commit what may be told.

Rows stay in two Parquet files of the run folder that only their owner can read. The catalog, logs and messages get
counts, reasons and the schema; never a patient's value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import compress
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from rich.markup import escape

from fairshards.catalogs.cohorts.checked import Checked, check_cohort
from fairshards.catalogs.cohorts.cohort import Cohort, parquet_bytes
from fairshards.catalogs.cohorts.rare import join_rare, said
from fairshards.catalogs.cohorts.schema import CohortError, Schema
from fairshards.catalogs.cohorts.tables.inferred import read_table
from fairshards.catalogs.cohorts.unquoted import unquoted
from fairshards.catalogs.manifests import places
from fairshards.catalogs.manifests.identity import TASK_DIGITS, task_hash
from fairshards.catalogs.manifests.manifest import OWNER_ONLY, write_local
from fairshards.families import COHORT_READERS
from fairshards.pipeline.recipe.records import CohortSource, EhrRecipe
from fairshards.pipeline.records.column_table import column_lines
from fairshards.pipeline.records.planted import planted
from fairshards.pipeline.run.committed import CommittedCohort, cohort_file, committed_cohort
from fairshards.pipeline.run.context import Run
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.run.quota import Group
from fairshards.transforms.records.shard import read_frame, read_people
from fairshards.transforms.shards.tars import sha256

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

    def people(self, part: str) -> NDArray[np.int64] | None:
        """Return whose row each of "train" or "test" is, int64[n]; None where everybody has one."""
        return read_people(getattr(self, part).read_bytes(), self.schema)


def cohort_stage(run: Run[EhrRecipe]) -> CohortResult:
    """Read, check and split the cohort.

    Where it isn't to be read anew, the cohort isn't looked at where the run before has it; else what that has stands in
    for a cohort that isn't there any more. Either way the recipe must still name the same place: at another one there
    may be another cohort.

    Raises:
        CohortError: it can't be read, or nothing usable is left.
    """
    recipe, folder, report = run.recipe, run.folder, run.report
    source = recipe.cohort
    known = committed_cohort(recipe, folder, run.previous)
    gone = source.path is not None and _is_gone(Path(source.path))
    if known and known.place == source.path and (gone or not run.anew.read):
        if run.anew.read:
            report.say(
                f"{escape(str(source.path))} isn't there any more; the run goes on with the rows that it has "
                "read before (cohort/)"
            )
        return _again(known, folder)
    checked, classes, values, counts = read_and_check(source)
    schema = checked.schema
    parts = {"train": checked.train, "test": checked.test}
    data = {
        name: parquet_bytes(_with_patients(rows, checked, name, source.patient), schema) for name, rows in parts.items()
    }
    sums = {name: sha256(content) for name, content in data.items()}
    files = {name: cohort_file(folder, name, sums[name]) for name in parts}
    for name, file in files.items():
        if not file.is_file():
            write_local(file, data[name], OWNER_ONLY)
    name, content = _commit(recipe, folder, checked, classes, values, sums)
    result = CohortResult(
        schema,
        source.attribute,
        files["train"],
        files["test"],
        sums["train"],
        {name: content},
        classes,
        values,
        counts,
        len(checked.rejects),
    )
    for line in reading_lines(checked, source.attribute, values, counts):
        report.say(escape(line))
    return result


def _is_gone(path: Path) -> bool:
    """Tell whether nothing is there, not even in the folder that a disk was mounted on."""
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def _again(known: CommittedCohort, folder: RunFolder) -> CohortResult:
    """Return the cohort that is committed already."""
    said = known.head.settings
    schema, sums = Schema.from_json(said["schema"]), said["rows"]
    files = [cohort_file(folder, part, sums[part]) for part in ("train", "test")]
    train = [row for row in known.rows if row["split"] == "train"]
    values = {row["b"]: row["bias_name"] for row in train}
    rejects = sum(row["status"] == "reject" for row in known.rows)
    return CohortResult(
        schema,
        said["attribute"],
        files[0],
        files[1],
        sums["train"],
        {known.name: known.head.content_sha256},
        schema[schema.label].categories,
        tuple(values[b] for b in sorted(values)),
        {(row["y"], row["b"]): row["n"] for row in train},
        rejects,
    )


def _with_patients(rows: pd.DataFrame, checked: Checked, part: str, patient: str | None) -> pa.Table:
    """Return rows as a table; where it is known whose they are, that column stands last."""
    table = pa.Table.from_pandas(rows, preserve_index=False)
    if patient is None or part not in checked.patients:
        return table
    return table.append_column(patient, pa.array(checked.patients[part], from_pandas=True))


@unquoted("reading the cohort")
def read_and_check(source: CohortSource) -> tuple[Checked, tuple[str, ...], tuple[str, ...], dict[Group, int]]:
    """Return the checked cohort with any planted bias, the names of the label's and of the attribute's values that
    training rows have, and training rows by (y, s).

    Raises:
        CohortError: it can't be read, nothing usable is left, or a sub-group is too small to be learned.
    """
    checked = check_cohort(_read(source), source.attribute, source.test_share, source.split_seed)
    schema, (train, test), joined = join_rare(
        checked.schema, source.attribute, checked.train, checked.test, people=checked.patients.get("train")
    )
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
        raise CohortError(
            f"sub-groups of the training rows with fewer than {source.smallest_group} people: {shown}. "
            "Too few to learn from, and each of them could be told: leave the value out with "
            "cohort.leave_values, or set cohort.smallest_group"
        )
    return checked, classes, values, counts


def _read(source: CohortSource) -> Cohort:
    path = Path(source.path) if source.path else None
    if source.reader == "table":
        cohort = read_table(path or Path(), source.table)
    else:
        reader = COHORT_READERS[source.reader](**source.options)
        cohort = without_columns(reader.read(path), source.leave_out, source.patient)
    if source.leave_values:
        cohort = without_values(cohort, source.attribute, source.leave_values)
    return cohort


def without_columns(cohort: Cohort, names: Sequence[str], patient: str | None) -> Cohort:
    """Return the cohort without some columns, and with ``patient`` as the one that says whose row it is.

    Raises:
        CohortError: it has no such column.
    """
    asked = {"leave_out": list(names), "patient": [patient] if patient else []}
    for setting, columns in asked.items():
        if unknown := [name for name in columns if name not in cohort.rows.column_names]:
            raise CohortError(f"cohort.{setting} names {unknown}; {cohort.schema.name} has {cohort.rows.column_names}")
    if not names and not patient:
        return cohort
    schema = cohort.schema.without([*names, *asked["patient"]])
    return replace(cohort, schema=schema, rows=cohort.rows.drop_columns(list(names)), patient=patient)


def without_values(cohort: Cohort, attribute: str, values: Sequence[str]) -> Cohort:
    """Return the cohort without the people whose attribute has one of ``values``; the schema forgets these too.

    Raises:
        CohortError: the attribute has no such value.
    """
    known = cohort.schema[attribute].categories
    if unknown := [value for value in values if value not in known]:
        raise CohortError(f"cohort.leave_values has {unknown}; {attribute} has {len(known)} values, none of them these")
    columns = tuple(
        replace(column, categories=tuple(v for v in known if v not in values)) if column.name == attribute else column
        for column in cohort.schema.columns
    )
    gone = pc.fill_null(pc.is_in(cohort.rows[attribute], pa.array(values, pa.string())), False)
    numbers = cohort.numbers and tuple(compress(cohort.numbers, pc.invert(gone).to_pylist()))
    return replace(
        cohort,
        schema=replace(cohort.schema, columns=columns),
        rows=cohort.rows.filter(pc.invert(gone)),
        numbers=numbers,
    )


def _counts(
    rows: pd.DataFrame, label: str, attribute: str, classes: tuple[str, ...], values: tuple[str, ...]
) -> dict[Group, int]:
    """Return the rows of every (y, s) that has any, class-major."""
    found = Counter(zip(rows[label], rows[attribute], strict=True))
    counts = {(y, s): found[classes[y], values[s]] for y in range(len(classes)) for s in range(len(values))}
    return {group: count for group, count in counts.items() if count}


def _commit(
    recipe: EhrRecipe,
    folder: RunFolder,
    checked: Checked,
    classes: tuple[str, ...],
    values: tuple[str, ...],
    sums: dict[str, str],
) -> tuple[str, str]:
    schema, attribute = checked.schema, recipe.cohort.attribute
    rows = [
        {
            "dataset": schema.name,
            "split": split,
            "y": y,
            "class_name": schema.class_name(classes[y]),
            "b": s,
            "bias_name": values[s],
            "group_name": schema.group_name(classes[y], values[s]),
            "n": n,
            "status": "ok",
        }
        for split, part in (("train", checked.train), ("test", checked.test))
        for (y, s), n in _counts(part, schema.label, attribute, classes, values).items()
    ]
    rows += [
        {
            "dataset": schema.name,
            "split": None,
            "row": problem.row,
            "status": "reject",
            "reason": problem.reason,
            "detail": problem.detail,
        }
        for problem in checked.rejects
    ]
    settings = {"schema": schema.to_json(), "attribute": attribute, "rows": sums, "cleared": dict(checked.cleared)}
    if checked.joined:
        settings["joined"] = {name: asdict(one) for name, one in checked.joined.items()}
    if malformed := _malformed(checked):
        settings["malformed"] = malformed
    ids = [f"{row.get('split')}/{row.get('group_name')}/{row.get('row')}" for row in rows]
    hashed = task_hash("cohort", VERSION, ids, [], settings)
    name = f"{places.COHORT}groups-{hashed[:TASK_DIGITS]}.parquet"
    head = folder.commit(name, "cohort", schema.name, rows, task_hash=hashed, settings=settings)
    return name, head.content_sha256


def _malformed(checked: Checked) -> dict[str, int]:
    """Return how many rows of each file of the cohort couldn't be read, where some couldn't."""
    return {name: n for name, n in checked.counts.items() if name.startswith("malformed_") and n}


def reading_lines(checked: Checked, attribute: str, values: tuple[str, ...], counts: dict[Group, int]) -> Iterator[str]:
    """Yield what is to be said of a cohort and of how it was read: `run` and `plan` say the same."""
    schema, name = checked.schema, f"cohort {checked.schema.name}:"
    event = schema[schema.label].categories[-1]
    share = f"{schema.class_name(event)} {100 * np.mean(checked.train[schema.label] == event):.1f}%"
    shown = ", ".join(
        f"{value} {sum(n for (_, s), n in counts.items() if s == number)}" for number, value in enumerate(values)
    )
    yield (
        f"{name} {len(checked.train)} training rows, {len(checked.test)} test rows ({len(checked.rejects)} "
        f"rejected); {share}; {attribute}: {shown}"
    )
    yield from (f"{name} {remark}" for remark in checked.remarks)
    if malformed := _malformed(checked):
        counted = ", ".join(f"{of} {n}" for of, n in malformed.items())
        yield f"{name} rows that can't be read and were left out: {counted}"
    if checked.cleared:
        yield "outside their valid range and made missing: " + ", ".join(
            f"{column} {count}" for column, count in checked.cleared.items()
        )
    if checked.joined:
        yield said(checked.joined)
    if lines := [*column_lines(checked, attribute)]:
        yield f"{name} its columns are taken for the following; cohort.columns corrects them:"
        yield from lines
