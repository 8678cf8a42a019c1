"""The source stage: which real images train, by the bias ratio; groups that don't exist; a dataset that moves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from fairshards.catalogs.manifests import manifest
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.pictures import source as sourcing
from fairshards.pipeline.pictures.source import (
    SourceResult,
    aligned_values,
    group_counts,
    source_stage,
    stated_aligned,
    to_bias_ratio,
)
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.loading import shipped_recipes
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.run.context import Run
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.run.progress import Reporter
from fairshards.pocket import world
from fairshards.transforms.shards.tars import ShardSample, write_shard
from tests.transforms.sources.test_sources import picture

UTK_TEST = {(0, 0): 723, (0, 1): 103, (1, 0): 710, (1, 1): 121}
UTK_TRAIN = {(0, 0): 5784, (0, 1): 934, (1, 0): 5731, (1, 1): 1003}
FACES = ("classes=[{name: a}, {name: b}]", "bias={values: [{name: p}, {name: q}]}")


def rows(**splits: Mapping[tuple[int, int], int]) -> list[dict]:
    return [
        {"sample_id": f"{split}{y}{b}{number}", "split": split, "y": y, "b": b}
        for split, counts in splits.items()
        for (y, b), count in counts.items()
        for number in range(count)
    ]


def recipe(name: str, *overrides: str) -> Recipe:
    return load_recipe(name, [*overrides])


def plain(*overrides: str) -> Recipe:
    """A recipe without published counts, classes a and b, bias values p and q, at r = 0.95."""
    return recipe("waterbirds", *FACES, "source={reader: image_folder, path: x, bias_ratio: 0.95}", *overrides)


def counts_of(recipe: Recipe, found: list[dict]) -> list[list[int]]:
    return [list(group_counts(recipe, found, split).values()) for split in ("train", "val", "test")]


@pytest.mark.parametrize(("ratio", "train"), [(0.9, [103, 934, 5731, 636]), (0.999, [1, 934, 5731, 6])])
def test_a_dataset_like_utk_gives_the_published_training_counts(ratio: float, train: list[int]) -> None:
    utk = recipe("ffr_utkface", f"source.bias_ratio={ratio}")
    val = [10 if ratio == 0.999 else 12, 103, 710, 79 if ratio == 0.9 else 10]
    found = to_bias_ratio(utk, rows(train=UTK_TRAIN, val=UTK_TEST, test=UTK_TEST))
    assert counts_of(utk, found) == [train, val, list(UTK_TEST.values())]


def test_a_smaller_dataset_or_another_ratio_follows_the_rule_with_the_aligned_majority() -> None:
    utk = recipe("ffr_utkface")
    assert counts_of(utk, to_bias_ratio(utk, rows(train=UTK_TEST)))[0] == [12, 103, 710, 79]
    utk = recipe("ffr_utkface", "source.bias_ratio=0.98")
    assert counts_of(utk, to_bias_ratio(utk, rows(train=UTK_TRAIN)))[0] == [20, 934, 5731, 117]


def test_a_dataset_like_celeba_keeps_the_smaller_group_as_the_majority() -> None:
    celeba = recipe("ffr_celeba_hq", "source.bias_ratio=0.99")
    found = to_bias_ratio(celeba, rows(train={(0, 0): 914, (0, 1): 693, (1, 0): 943, (1, 1): 450}))
    assert counts_of(celeba, found)[0] == [8, 693, 943, 10]


@pytest.mark.parametrize("name", [name for name in shipped_recipes() if "ffr" in name])
def test_shipped_recipes_state_the_majorities_that_their_published_counts_have(name: str) -> None:
    shipped = recipe(name)
    bare = shipped.model_copy(update={"source": shipped.source.model_copy(update={"aligned": {}})})
    assert len(shipped.source.aligned) == len(shipped.classes)
    assert aligned_values(shipped, {}, 0.9) == aligned_values(bare, {}, 0.9) == stated_aligned(shipped)


def test_without_a_word_the_larger_training_group_is_the_majority_in_val_too() -> None:
    train, val = {(0, 0): 300, (0, 1): 200, (1, 0): 50, (1, 1): 400}, {(0, 0): 40, (0, 1): 90, (1, 0): 9, (1, 1): 9}
    found = to_bias_ratio(plain(), rows(train=train, val=val))
    assert counts_of(plain(), found)[:2] == [[300, 16, 22, 400], [40, 10, 9, 9]]


def test_equal_groups_need_a_word() -> None:
    equal = rows(train={(0, 0): 100, (0, 1): 100, (1, 0): 100, (1, 1): 100})
    with pytest.raises(RecipeError, match=r"class 'a' has 100 .*\['p', 'q'\].*Set source\.aligned, e\.g\. .*\.a=p"):
        to_bias_ratio(plain(), equal)
    told = plain("source.aligned={a: q, b: p}")
    assert counts_of(told, to_bias_ratio(told, equal))[0] == [6, 100, 100, 6]
    balanced = plain("source.bias_ratio=0.5")
    assert to_bias_ratio(balanced, equal) == equal


def test_a_majority_that_the_recipe_or_the_dataset_lacks_is_an_error() -> None:
    with pytest.raises(RecipeError, match=r"group a\|sea; the recipe's groups are a\|p, a\|q"):
        stated_aligned(plain("source.aligned={a: sea}"))
    with pytest.raises(RecipeError, match=r"no training image of a\|q, but 3 others"):
        to_bias_ratio(plain("source.aligned={a: q}"), rows(train={(0, 0): 3, (1, 0): 2}))


def test_which_images_are_kept_does_not_depend_on_their_order() -> None:
    given = rows(train=UTK_TEST)
    kept = {row["sample_id"] for row in to_bias_ratio(plain(), given)}
    assert kept == {row["sample_id"] for row in to_bias_ratio(plain(), given[::-1])}


def unlabelled(reader: str, folder: Path) -> str:
    """Write one training image of each class with no word about its background; return the recipe's source."""
    names = ("landbird", "waterbird")
    folder.mkdir()
    if reader == "webdataset":
        birds = (ShardSample(name, picture(y), "png", y, {}, "") for y, name in enumerate(names))
        tar, _ = write_shard(birds)
        (folder / "train-000000.tar").write_bytes(tar)
    for name in names if reader != "webdataset" else ():
        (folder / "train" / name).mkdir(parents=True)
        (folder / "train" / name / "x.png").write_bytes(picture())
    if reader == "metadata_csv":
        lines = ["img_filename,y,split", *(f"train/{name}/x.png,{y},0" for y, name in enumerate(names))]
        (folder / "metadata.csv").write_text("\n".join(lines))
    return f"source={{reader: {reader}, path: {folder}}}"


@pytest.mark.parametrize("reader", ["webdataset", "metadata_csv", "image_folder"])
def test_a_dataset_without_bias_labels_is_read_whole(reader: str, tmp_path: Path) -> None:
    blind = recipe("pocket-aspire", "bias=null", unlabelled(reader, tmp_path / "data"))
    (tmp_path / "run").mkdir()
    found = source_stage(Run(blind, RunFolder(tmp_path / "run"), report=Reporter(quiet=True)))
    assert (found.counts, found.rejects) == ({(0, -1): 1, (1, -1): 1}, 0)
    index = manifest.read_rows(tmp_path / "run" / found.index)[1]
    assert {row["group_name"] for row in index} == {"landbird|unknown", "waterbird|unknown"}


def test_without_bias_the_labels_of_the_pocket_world_are_not_looked_at(tmp_path: Path) -> None:
    asked = ("source.n_train=8", "source.val_min_group=1", "source.test_per_group=1")
    both = []
    for name, blind in (("blind", ("bias=null",)), ("labelled", ())):
        (tmp_path / name).mkdir()
        found = source_stage(
            Run(recipe("pocket-aspire", *asked, *blind), RunFolder(tmp_path / name), report=Reporter(quiet=True))
        )
        both.append(manifest.read_rows(tmp_path / name / found.index)[1])
    assert {row["b"] for row in both[0]} == {-1} and {row["b"] for row in both[1]} == {0, 1}
    same = [[(row["sample_id"], row["y"], row["image_sha256"]) for row in rows_] for rows_ in both]
    assert same[0] == same[1]


def animals(folder: Path) -> Path:
    """Write one training image a group, and one of a group that SpuCo Animals lacks."""
    groups = {"landbird": ("land", "water", "indoors"), "waterbird": ("land", "water")}
    groups |= dict.fromkeys(("small-dog", "big-dog"), ("indoors", "outdoors"))
    for number, (name, place) in enumerate((name, place) for name, places in groups.items() for place in places):
        path = folder / "train" / name / place / "x.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(picture(number))
    return folder


def staged(data: Path, run: Path) -> SourceResult:
    spuco = recipe("ffr_spuco_animals", f"source.path={data}", "source.bias_ratio=null")
    return source_stage(Run(spuco, RunFolder(run), report=Reporter(quiet=True)))


def test_an_image_of_a_group_that_the_recipe_lacks_is_a_reject(tmp_path: Path) -> None:
    result = staged(animals(tmp_path / "data"), tmp_path / "run")
    _, index = manifest.read_rows(tmp_path / "run" / result.index)
    assert (result.samples, result.rejects, len(result.counts), {row["b"] for row in index if row["y"] == 0}) == (
        8,
        1,
        8,
        {0, 1},
    )
    (source,) = (name for name in result.manifests if name != result.index)
    _, read = manifest.read_rows(tmp_path / "run" / source)
    (reject,) = (row for row in read if row["status"] == "reject")
    assert (reject["key"], reject["reason"]) == ("train/landbird/indoors/x.png", "unknown_group")
    assert "'landbird|indoors'" in reject["detail"] and "big-dog|outdoors" in reject["detail"]


def test_a_dataset_that_moved_gives_the_same_manifests(tmp_path: Path) -> None:
    first, second = (staged(animals(tmp_path / name), tmp_path / f"run-{name}") for name in ("here", "there"))
    assert first == second


def test_another_renderer_renders_the_pocket_world_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    def pretend(place: Path, **_: object) -> None:
        place.mkdir(parents=True)
        (place / "world.json").write_text("{}")

    monkeypatch.setattr(world, "write_world", pretend)
    places = []
    for version in (1, 1, 2):
        monkeypatch.setattr(world, "RENDER_VERSION", version)
        places.append(sourcing.reader_of(recipe("pocket-waterbirds"), RunFolder(tmp_path), Reporter(quiet=True)))
    assert places[0] == places[1] != places[2]


def test_planted_objects_are_rendered_into_a_world_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    written: list[dict] = []

    def pretend(place: Path, **settings: object) -> None:
        written.append(settings)
        place.mkdir(parents=True)
        (place / "world.json").write_text("{}")

    monkeypatch.setattr(world, "write_world", pretend)
    planted = recipe("pocket-waterbirds", "source.objects={waterbird: {buoy: 0.6}, landbird: {branch: 0.6}}")
    for each in (recipe("pocket-waterbirds"), planted):
        sourcing.reader_of(each, RunFolder(tmp_path), Reporter(quiet=True))
    assert "object_rates" not in written[0]
    assert written[1]["object_rates"] == {"waterbird": {"buoy": 0.6}, "landbird": {"branch": 0.6}}


@pytest.mark.parametrize(
    ("objects", "complaint"),
    [("{gull: {reed: 0.5}}", "gull"), ("{waterbird: {hat: 0.5}}", "hat"), ("{waterbird: {reed: 1.5}}", "at most 1")],
)
def test_objects_that_cant_be_drawn_are_refused(objects: str, complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        recipe("pocket-waterbirds", f"source.objects={objects}")
