"""The account of a source: what the run's line says, what is refused, and that the catalog can be asked afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from fairshards.catalogs.manifests import manifest
from fairshards.pipeline.driver import run
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.pictures.account import said_of
from fairshards.pipeline.pictures.source import SourceResult, reader_of, source_stage
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.run.context import Anew, Run, SourceRefused
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.run.jobs import Launcher
from fairshards.pipeline.run.progress import Reporter
from fairshards.transforms.sources import MetadataCsvReader, WebDatasetReader
from fairshards.transforms.sources.labels import LabelError
from tests.transforms.dataset import TABLE, bird, picture, tar_of, tree

GROUPS = [f"train/{y}/{b}/0.png" for y in ("landbird", "waterbird") for b in ("land", "water")]


def recipe(data: Path, *overrides: str, reader: str = "image_folder", name: str = "pocket-waterbirds") -> Recipe:
    return load_recipe(name, [f"source={{reader: {reader}, path: {json.dumps(str(data))}}}", *overrides])


def staged(data: Path, folder: Path, *overrides: str, **options: str) -> SourceResult:
    folder.mkdir(exist_ok=True)
    return source_stage(Run(recipe(data, *overrides, **options), RunFolder(folder), report=Reporter(quiet=True)))


def test_the_line_has_rejects_by_reason_and_key_and_what_is_ignored_by_rule() -> None:
    assert said_of({}, {}) == "0 rejected"
    assert said_of({}, {"index": 1, "hidden": 3}) == "0 rejected; ignored: 3 hidden, 1 index"
    rejected = {"corrupt": ["a.png"], "duplicate_key": ["1", "2", "3", "4"]}
    assert said_of(rejected, {}) == "5 rejected: 4 duplicate_key (1, 2, 3, ...), 1 corrupt (a.png)"
    assert said_of({"corrupt": ["x" * 100]}, {}).endswith("(..." + "x" * 60 + ")")


def test_a_run_says_what_became_of_every_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tree(tmp_path / "data", [*GROUPS, "train/landbird/land/.x.png", "train/gull/land/1.png"])
    tree(data, {"notes.txt": b"x"})
    for _ in range(2):  # a second run reads nothing and says the same
        run(recipe(data), Launcher(), Reporter(), until="source", root=tmp_path / "run")
        line = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("source:"))
        assert line.startswith(
            "source: 4 images (1 rejected: 1 unknown_class (train/gull/land/1.png); ignored: "
            "1 hidden, 1 no_picture); training groups: landbird|land 1"
        )
    with duckdb.connect(str(tmp_path / "run/catalog.duckdb"), read_only=True) as catalog:
        said = catalog.execute("SELECT rule, n, example FROM ignored ORDER BY rule").fetchall()
    assert said == [("hidden", 1, "train/landbird/land/.x.png"), ("no_picture", 1, "notes.txt")]
    assert not list((tmp_path / "run/source").glob("listing-*"))


def test_where_every_row_is_rejected_the_error_quotes_the_first_and_the_catalog_can_be_asked(tmp_path: Path) -> None:
    data = tree(tmp_path / "data", {"metadata.csv": (TABLE + "a.png,0,fold1,0,x\nb.png,1,fold2,1,y\n").encode()})
    with pytest.raises(SourceRefused, match=r"no usable training image: 2 were read, 2 .* line 2: split is 'fold1'"):
        run(recipe(data, reader="metadata_csv"), Launcher(), Reporter(quiet=True), "source", tmp_path / "run")
    with duckdb.connect(str(tmp_path / "run/catalog.duckdb"), read_only=True) as catalog:
        rows = catalog.execute("SELECT key, reason, detail FROM rejects ORDER BY key").fetchall()
    assert [row[:2] for row in rows] == [("a.png", "unknown_split"), ("b.png", "unknown_split")]
    (data / "metadata.csv").rename(tmp_path / "moved.csv")
    for read in (True, False):  # what was refused once isn't gone on with
        with pytest.raises(RecipeError, match=r"no usable training image: 2 were read.* line 2: split is 'fold1'"):
            run(
                recipe(data, reader="metadata_csv"),
                Launcher(),
                Reporter(quiet=True),
                "source",
                tmp_path / "run",
                Anew(read=read),
            )
    assert "'fold2'" in rows[1][2] and (tmp_path / "run/run.json").exists()


def test_a_class_without_a_training_picture_is_refused_with_the_labels_that_were_seen(tmp_path: Path) -> None:
    data = tree(tmp_path / "data", [*GROUPS[:2], "train/water-bird/land/0.png", "test/waterbird/land/0.png"])
    message = r"no usable training image of class waterbird\. .*labels in the data: landbird, water-bird, waterbird; .*"
    with pytest.raises(SourceRefused, match=message + r"1 unknown_class; .* class 'water-bird'"):
        staged(data, tmp_path / "run", "source.empty_groups=[waterbird|land, waterbird|water]")


def test_a_group_without_a_training_picture_is_refused_unless_it_is_empty_on_purpose(tmp_path: Path) -> None:
    data = tree(tmp_path / "data", GROUPS[:3])
    with pytest.raises(SourceRefused, match=r"of group waterbird\|water\. .*in groups, .* source\.empty_groups"):
        staged(data, tmp_path / "run")
    result = staged(data, tmp_path / "run", "source.empty_groups=[waterbird|water]")
    assert list(result.counts.values()) == [1, 1, 1, 0]
    with pytest.raises(RecipeError, match=r"empty_groups names gull\|land; the recipe's groups are landbird\|land"):
        staged(data, tmp_path / "run", "source.empty_groups=[gull|land]")


def test_pictures_that_are_made_by_class_need_no_group(tmp_path: Path) -> None:
    data = tree(tmp_path / "data", [GROUPS[0], GROUPS[3]])
    assert staged(data, tmp_path / "run", name="pocket-aspire").samples == 2


def test_numbers_that_begin_at_one_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    data = tree(tmp_path / "data", [f"train/{y}/{b}/0.png" for y in (1, 2) for b in ("land", "water")])
    with pytest.raises(LabelError, match=r"class labels are the numbers 1, 2, but 2 values"):
        staged(data, tmp_path / "run")
    assert not (tmp_path / "run/source").exists()
    spelled = ('classes=[{name: landbird, labels: ["1"]}, {name: waterbird, labels: ["2"]}]',)
    assert staged(data, tmp_path / "run", *spelled).samples == 4


def test_pictures_in_two_splits_or_with_two_labels_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A link from test to val, or a copy with another label: nothing else would tell."""
    files = {name: picture(seed) for seed, name in enumerate(GROUPS)}
    data = tree(tmp_path / "data", {**files, "train/waterbird/land/copy.png": picture(0)})
    data = tree(data, {name.replace("train", "val"): picture(seed + 9) for seed, name in enumerate(GROUPS)})
    (data / "test").symlink_to("val")
    (tmp_path / "run").mkdir()
    source_stage(Run(recipe(data), RunFolder(tmp_path / "run"), report=Reporter()))
    said = capsys.readouterr().err.replace("\n", " ")
    assert "one split (test, val): 4, e.g. test/landbird/land/0.png (test) and val/landbird/land/0.png (val)" in said
    assert (
        "more than one label: 1, e.g. train/landbird/land/0.png (landbird|land) and "
        "train/waterbird/land/copy.png (waterbird|land)."
    ) in said


def test_a_refusal_counts_what_no_picture_was_looked_for_in(tmp_path: Path) -> None:
    members = [("0.jpg.gz", picture()), ("0.cls.gz", b"0")]
    tar_of(tmp_path / "data/train-0.tar", members)
    with pytest.raises(SourceRefused, match=r"0 were read, .*\. Ignored: 2 no_picture \(0\.jpg, \.\.\.\)\. Check"):
        staged(tmp_path / "data", tmp_path / "run", reader="webdataset")


def test_a_dataset_without_training_pictures_names_the_splits_that_it_has(tmp_path: Path) -> None:
    data = tree(tmp_path / "data", [name.replace("train", "val") for name in GROUPS])
    with pytest.raises(SourceRefused, match=r"None is of split train \(val 4\): say in source\.splits which are\. Tr"):
        staged(data, tmp_path / "run")


def test_a_key_of_a_line_steers_no_terminal() -> None:
    assert said_of({"bad_key": ["a\x1b[31m\nb"]}, {}) == "1 rejected: 1 bad_key (a\\x1b[31m\\nb)"


def test_keys_that_stand_in_two_tars_lose_nothing(tmp_path: Path) -> None:
    for number in range(2):
        members = bird("0", "0") + bird("1", "1")
        members += [(name.replace("0", "2"), data.replace(b'"land"', b'"water"')) for name, data in bird("0", "0")]
        members += [(name.replace("1", "3"), data.replace(b'"land"', b'"water"')) for name, data in bird("1", "1")]
        tar_of(tmp_path / f"data/train-{number}.tar", members)
    result = staged(tmp_path / "data", tmp_path / "run", reader="webdataset")
    assert (result.samples, result.rejects) == (8, 0)


def test_a_dataset_is_read_as_the_recipe_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    def reader(*overrides: str, kind: str) -> object:
        return reader_of(recipe(Path("~/data"), *overrides, reader=kind), RunFolder(tmp_path), Reporter(quiet=True))

    assert reader(kind="webdataset") == WebDatasetReader(str(tmp_path / "data"))
    named = WebDatasetReader(str(tmp_path / "data"), class_field="kind", field_first=True)
    assert reader("source.class_field=kind", kind="webdataset") == named
    table = MetadataCsvReader(str(tmp_path / "data"), splits={"0": "test", "1": "val", "2": "test", "a": "train"})
    assert reader("source.splits={'0': test, a: train}", kind="metadata_csv") == table
    several = reader("source.splits={train: [a.tar, '{0..2}.tar']}", kind="webdataset")
    assert isinstance(several, WebDatasetReader) and several.splits["train"] == ("a.tar", "{0..2}.tar")


@pytest.mark.parametrize(
    "override", ["source.layout=split/bias", "source.layout=split/split/class", "source.splits={a: training}"]
)
def test_settings_that_say_nothing_are_refused(override: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"layout is|splits"):
        recipe(tmp_path, override)


def test_another_word_for_a_split_is_no_split_of_its_own(tmp_path: Path) -> None:
    data = tree(tmp_path / "data", [*GROUPS, *(name.replace("train", "valid") for name in GROUPS)])
    result = staged(data, tmp_path / "run")
    index = manifest.read_rows(tmp_path / "run" / result.index)[1]
    assert sorted(row["split"] for row in index) == ["train"] * 4 + ["val"] * 4


def test_a_file_that_is_added_where_it_is_ignored_makes_nothing_again(tmp_path: Path) -> None:
    data = tree(tmp_path / "data", dict.fromkeys(GROUPS, picture()))
    first = staged(data, tmp_path / "run")
    tree(data, {"notes.txt": b"x"})
    second = staged(data, tmp_path / "run")
    assert (first.index, first.ignored, second.ignored) == (second.index, {}, {"no_picture": 1})


def test_a_plan_of_a_dataset_that_would_be_refused_says_so(tmp_path: Path) -> None:
    from fairshards.pipeline.cli.app import app

    data = tree(tmp_path / "data", GROUPS[:2])
    asked = [f"--set=source={{reader: image_folder, path: {json.dumps(str(data))}}}", "-o", str(tmp_path / "run")]
    done = CliRunner().invoke(app, ["plan", "pocket-aspire", *asked], env={"COLUMNS": "300"})
    assert done.exit_code == 1
    assert "problem      dataset: the source has no usable training image of class waterbird" in done.output
