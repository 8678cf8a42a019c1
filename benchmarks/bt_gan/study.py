"""Bt-GAN on SUPPORT2: utility, fidelity, privacy and fairness of its rows, beside other generators, splits x seeds.

    python -m benchmarks.bt_gan.study natural --variants real,bt-gan,ctgan,tvae,copula --seeds 3 --splits 3
    python -m benchmarks.bt_gan.study natural --variants bt-gan,no-weighting,no-rejection --seeds 3 --splits 1
    python -m benchmarks.bt_gan.study labels --variants real,reweighed,bt-gan,parity-10 --seeds 3 --splits 3  # planted
    python -m benchmarks.bt_gan.study adult --data FOLDER --variants real,reweighed,bt-gan,parity-10 --splits 1
    python -m benchmarks.bt_gan.study natural --tune --splits 1 --variants bt-gan,k-3    # on training rows alone
    python -m benchmarks.bt_gan.tables                                              # the tables of docs/records.md

An arm is a cohort: ``natural``; ``labels``, where 80% of the deaths of black patients are turned into survivals in
training; ``proxy``, the same with a column ``site`` that agrees with race in 95% of rows; ``adult`` and ``compas``,
whose files ``--data`` names. Test rows stay clean. All arms but ``natural`` hold a fifth of the training rows out of
every generator, as validation rows (biased ones, where a bias is planted) for the choice of lambda. A row of the CSV is
one generator of one split and seed; what stands there isn't made again. Others' need
``pip install 'fairshards[benchmarks,records]'``.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from benchmarks.bt_gan.peers import PEERS
from benchmarks.csv_rows import read_rows, write_rows
from fairshards.catalogs.cohorts.checked import Checked, check_cohort
from fairshards.catalogs.cohorts.schema import Schema
from fairshards.catalogs.manifests.identity import digest
from fairshards.families import COHORT_READERS
from fairshards.filters.limits import calibrate
from fairshards.filters.records.distance_ratio import LIMIT
from fairshards.generators.tables.bt_gan import BtGan, apportioned
from fairshards.generators.tables.encoding import TableEncoding
from fairshards.generators.tables.record_space import (
    NEIGHBOURS,
    RecordSpace,
    distance_ratio,
    neighbours,
    other_neighbours,
)
from fairshards.pipeline.recipe.records import PlantedBias
from fairshards.pipeline.records.evaluation import visible_columns
from fairshards.pipeline.records.planted import planted
from fairshards.trainers.core.seeding import part_seed
from fairshards.trainers.evaluation.cohort_learners import LEARNERS, labels, predict, reweighing, train
from fairshards.trainers.evaluation.fairness import at_rate
from fairshards.trainers.evaluation.fidelity import column_distances, correlation_difference, discriminative, subgroups
from fairshards.trainers.evaluation.privacy import privacy
from fairshards.trainers.tables.bt_gan import fit
from fairshards.trainers.tables.lambda_choice import auroc_within, hold_out, informations
from fairshards.trainers.tables.settings import BtGanSettings

RESULTS = Path("docs/results/bt-gan.csv")
TUNING = RESULTS.with_stem("bt-gan-tuning")
TEST_SHARE = 0.3
SHORT = {"gradient boosting": "gb", "logistic regression": "lr"}
KEY = ("arm", "variant", "split", "seed")


@dataclass(frozen=True)
class Arm:
    """A cohort, and between which groups its gaps are told.

    Attributes:
        reader: Of the cohort.
        attribute: The protected attribute.
        group, reference: A gap is the reference group's rate minus this group's.
        plant: What is planted in its training rows.
    """

    reader: str = "support2"
    attribute: str = "race"
    group: str = "black"
    reference: str = "white"
    plant: PlantedBias | None = None

    def cohort(self, split: int, data: Path | None = None) -> Checked:
        """Return the checked cohort of a split, with its bias planted."""
        checked = check_cohort(COHORT_READERS[self.reader]().read(data), self.attribute, TEST_SHARE, split)
        if self.plant is None:
            return checked
        return planted(checked, self.attribute, self.plant.model_copy(update={"seed": split}))


ARMS = {
    "natural": Arm(),
    "labels": Arm(plant=PlantedBias(group="black", share=0.8)),
    "proxy": Arm(plant=PlantedBias(group="black", share=0.8, proxy=0.95)),
    "adult": Arm("adult", "sex", "Female", "Male"),
    "compas": Arm("compas", "race", "African-American", "Caucasian"),
}

BT_GAN: dict[str, dict[str, Any]] = {
    "bt-gan": {},
    "no-weighting": {"stage2_steps": 0, "steps": 6500},
    "no-rejection": {"rejection": False},
    "no-distance-ratio": {},
    "seen-parity-10": {"constraint": "parity", "lam": 10.0, "proxy": 1.0},
    "neither": {"stage2_steps": 0, "steps": 6500, "rejection": False},
    "no-triple": {"pseudo": 0.0, "classifier_every": 0},
    "k-3": {"k": 3.0},
    "group-0.5": {"group_share": 0.5},
    "dropout-0": {"dropout": 0.0},
    "dropout-0.1": {"dropout": 0.1},
    "dropout-0.35": {"dropout": 0.35},
    "alpha-0.5": {"alpha": 0.5},
    "alpha-0.5-dropout-0": {"alpha": 0.5, "dropout": 0.0},
    "alpha-0.5-dropout-0.1": {"alpha": 0.5, "dropout": 0.1},
    "alpha-0.5-long": {"alpha": 0.5, "steps": 8000, "stage2_steps": 2500},
    "alpha-0.5-long-dropout-0.1": {"alpha": 0.5, "steps": 8000, "stage2_steps": 2500, "dropout": 0.1},
    "alpha-0.5-long-dropout-0.4": {"alpha": 0.5, "steps": 8000, "stage2_steps": 2500, "dropout": 0.4},
    "alpha-0.5-wide-dropout-0.1": {"alpha": 0.5, "hidden": 192, "dropout": 0.1},
    "no-triple-dropout-0.1": {"pseudo": 0.0, "classifier_every": 0, "dropout": 0.1},
}
"""Settings that differ from the defaults, by variant; "odds-3" and "parity-3" are the constraint at lambda 3."""
BARE = ("no-distance-ratio",)
"""Variants whose rows are taken as they are drawn; all others' pass the filter ``distance_ratio``, as a recipe's do,
with one limit for all sub-groups. The tuning CSV's do not: the filter came after."""
RETAIN = 0.95


def settings_of(variant: str, attribute: str, seed: int) -> BtGanSettings:
    """Return the settings of a Bt-GAN variant."""
    if variant in BT_GAN:
        return BtGanSettings(attribute, seed=seed, **BT_GAN[variant])
    constraint, _, lam = variant.partition("-")
    return BtGanSettings(attribute, constraint, float(lam), seed=seed)  # type: ignore[arg-type]


def made(
    variant: str, schema: Schema, attribute: str, rows: pd.DataFrame, seed: int, work: Path
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return as many rows as the variant was given, and how long it took."""
    began = time.perf_counter()
    if variant in ("real", "reweighed"):
        return rows, {}
    if variant in PEERS:
        draw = PEERS[variant](schema, rows, seed)
        took = {"fit_seconds": time.perf_counter() - began}
        return draw(len(rows)), took
    settings = settings_of(variant, attribute, seed)
    with_rejection = replace(settings, rejection=True)  # it comes last, so one training does for with and without
    checkpoint = work / f"{digest(with_rejection.identity)[:16]}.safetensors"
    whole = not checkpoint.exists()
    model = fit(schema, rows, with_rejection, checkpoint).model
    fitted = time.perf_counter()
    if not settings.rejection:
        model.rejection = None
    found = apart(model, rows, seed) if variant not in BARE else model.sample(len(rows), seed)
    return found, {"fit_seconds": fitted - began} if whole else {}  # not of a training that went on


def apart(model: BtGan, rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return as many rows as given, every (y, s) with its share, that the filter ``distance_ratio`` keeps."""
    space, schema = RecordSpace(model.encoding), model.encoding.schema
    real = space.points(rows)
    among = distance_ratio(other_neighbours(real, space.columns, NEIGHBOURS))
    least = calibrate(LIMIT, RETAIN, {"": among.tolist()}, float)[0].value
    group = [schema.label, model.encoding.attribute]
    wanted = apportioned(model.joint.ravel(), len(rows)).reshape(model.joint.shape)
    shares = {(model.encoding.classes[y], model.encoding.groups[s]): wanted[y, s] for y, s in np.ndindex(wanted.shape)}
    kept, more = rows[:0], 0
    while short := sum(max(0, share - int((kept[group] == key).all(axis=1).sum())) for key, share in shares.items()):
        drawn = model.sample(len(rows) if more == 0 else max(len(rows) // 4, short), part_seed(seed, "more", more))
        near = neighbours(space.points(drawn), real, space.columns, NEIGHBOURS)
        kept, more = pd.concat([kept, drawn[distance_ratio(near) >= least]], ignore_index=True), more + 1
    number = kept.groupby(group, observed=True).cumcount()
    limit = [shares[key] for key in zip(*(kept[name] for name in group), strict=True)]
    return kept[number < limit].reset_index(drop=True)


def measured(
    arm: Arm,
    checked: Checked,
    rows: pd.DataFrame,
    weights: np.ndarray[Any, Any] | None,
    validation: pd.DataFrame | None,
    synthetic: bool = True,
) -> dict[str, float]:
    """Return what a table of rows is worth: every number of docs/records.md.

    ``validation`` are rows that no generator saw, biased ones, where the arm holds any out. With ``synthetic`` they are
    told from real rows and attacked too.
    """
    schema, test, attribute = checked.schema, checked.test, arm.attribute
    columns, y = visible_columns(schema, attribute, arm.plant), labels(schema, test)
    s = test[attribute].to_numpy(object)
    found: dict[str, float] = {}
    for learner in LEARNERS:
        model = train(learner, schema, rows, columns, weights=weights)
        scores = predict(model, schema, test, columns)
        predicted, short = at_rate(scores, float(labels(schema, rows).mean())), SHORT[learner]
        share = {group: predicted[s == group].mean() for group in (arm.reference, arm.group)}
        rate = {
            (group, value): predicted[(s == group) & (y == value)].mean()
            for group in (arm.reference, arm.group)
            for value in (0, 1)
        }
        found |= {
            f"auroc_{short}": float(roc_auc_score(y, scores)),
            f"auprc_{short}": float(average_precision_score(y, scores)),
            f"f1_{short}": float(f1_score(y, predicted)),
            f"accuracy_{short}": float((predicted == y).mean()),
            f"parity_gap_{short}": float(share[arm.reference] - share[arm.group]),
            f"tpr_gap_{short}": float(rate[arm.reference, 1] - rate[arm.group, 1]),
            f"fpr_gap_{short}": float(rate[arm.reference, 0] - rate[arm.group, 0]),
        }
        found |= train_side(checked, attribute, validation, model, short, columns)
    distances = column_distances(schema, checked.train, rows)
    found["ks"] = float(np.mean([value for kind, value in distances.values() if kind == "ks"]))
    found["jsd"] = float(np.mean([value for kind, value in distances.values() if kind == "jsd"]))
    found["correlation_difference"] = correlation_difference(schema, checked.train, rows)
    found |= subgroups(schema, attribute, checked.train, rows)
    shares = [float((part[attribute] == arm.group).mean()) for part in (rows, checked.train)]
    found["group_share"], found["group_share_real"] = shares
    if synthetic:
        found["discriminative_score"], found["discriminative_auroc"], _ = discriminative(schema, test, rows)
        together = pd.concat([checked.train, test], ignore_index=True)
        space = RecordSpace(TableEncoding.fit(schema, attribute, together))
        one = privacy(space, checked.train, test, rows)
        found |= {"copies": one.copies, "memorisation": one.memorisation, "membership_auc": one.membership_auc}
    return found


def train_side(
    checked: Checked, attribute: str, validation: pd.DataFrame | None, model: Any, short: str, columns: tuple[str, ...]
) -> dict[str, float]:
    """Return what the choice of lambda may look at: AUROC and information on (biased) training rows, no clean label."""
    schema, found = checked.schema, {}
    for name, rows in (("train", checked.train), ("validation", validation)):
        if rows is None:
            continue
        scores = predict(model, schema, rows, columns)
        y = labels(schema, rows)
        found[f"{name}_auroc_{short}"] = float(roc_auc_score(y, scores))
        found[f"{name}_auroc_within_{short}"] = auroc_within(y, scores, rows[attribute].to_numpy(object))
        plain, given = informations(model, schema, columns, attribute, rows)
        found |= {f"{name}_information_{short}": plain, f"{name}_information_given_y_{short}": given}
    return found


def held_out(checked: Checked, split: int) -> tuple[Checked, pd.DataFrame]:
    """Return the cohort without a fifth of its training rows, and these."""
    train, rows = hold_out(checked.train, [split, 7])
    return replace(checked, train=train), rows


def _text(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) and math.isfinite(value) else str(value)


def main(
    arm: Annotated[str, typer.Argument(help=f"One of {', '.join(ARMS)}.")],
    variants: Annotated[str, typer.Option(help="Comma-separated.")] = "real,bt-gan",
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    splits: Annotated[int, typer.Option(min=1)] = 3,
    first: Annotated[int, typer.Option(min=0, help="The first split.")] = 0,
    tune: Annotated[bool, typer.Option("--tune", help="On held-out training rows; writes the tuning CSV.")] = False,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    results: Annotated[Path | None, typer.Option()] = None,
    data: Annotated[Path | None, typer.Option(help="Adult's folder, or COMPAS's file.")] = None,
    work: Annotated[Path, typer.Option(help="Checkpoints of what is at work.")] = Path("runs/bt-gan"),
) -> None:
    """Measure what the CSV lacks."""
    import torch

    torch.set_num_threads(threads)
    path = results or (TUNING if tune else RESULTS)
    for split in range(first, first + splits):
        given, validation = ARMS[arm].cohort(split, data), None
        if tune or arm != "natural":
            given, validation = held_out(given, split)
        if tune:  # settings are chosen on training rows: those held out stand for test rows
            given, validation = replace(given, test=validation), None
        for seed in range(seeds):
            for variant in variants.split(","):
                if variant in ("real", "reweighed") and seed:
                    continue
                key = {"arm": arm, "variant": variant, "split": split, "seed": seed}
                done = read_rows(path) if path.is_file() else []
                if any(all(one[name] == str(value) for name, value in key.items()) for one in done):
                    continue
                home = work / f"{arm}-{split}{'-tune' * tune}"
                rows, took = made(variant, given.schema, ARMS[arm].attribute, given.train, seed, home)
                weights = None
                if variant == "reweighed":
                    weights = reweighing(labels(given.schema, rows), rows[ARMS[arm].attribute].to_numpy(object))
                synthetic = arm == "natural" and variant not in ("real", "reweighed")
                found = measured(ARMS[arm], given, rows, weights, validation, synthetic)
                write_rows(path, [{**key, "threads": threads, **took, **found}], KEY, _text)
                shown = ", ".join(
                    f"{name} {found[name]:.3f}"
                    for name in ("auroc_gb", "auroc_lr", "tpr_gap_gb", "tpr_gap_lr", "correlation_difference")
                )
                seconds = took.get("fit_seconds", 0)
                print(f"{arm} {variant} split {split} seed {seed}: {shown}, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    typer.run(main)
