"""A tree of images: links, hidden files, splits by other names, formats, and folders that are no class."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fairshards.transforms.sources import ImageFolderReader, SourceError
from fairshards.transforms.sources.labels import GroupLabels, Labels
from fairshards.transforms.sources.stage import plan_source
from tests.transforms.dataset import LABELS, Read, picture, tree

LAND = "train/landbird/land"


def read(data: Path, run: Path, labels: GroupLabels = LABELS, **options: object) -> Read:
    return Read(ImageFolderReader(str(data), **options), run, labels)  # type: ignore[arg-type]


def test_a_folder_that_is_a_number_is_no_index_where_classes_are_numbers(tmp_path: Path) -> None:
    data = tree(tmp_path / "data", [f"train/{digit}/land/{n}.png" for digit in (0, 1, 2, 7) for n in range(2)])
    found = read(data, tmp_path / "run", GroupLabels(Labels(("1", "7")), LABELS.bias))
    assert found.good == [f"train/{digit}/land/{n}.png" for digit in (1, 7) for n in range(2)]
    assert set(found.reasons.values()) == {"unknown_class"} and len(found.reasons) == 4
    assert "class '0'" in found.detail("train/0/land/0.png")


def test_a_linked_class_folder_is_followed_and_a_loop_is_left_out_by_name(tmp_path: Path) -> None:
    data = tree(tmp_path / "data", [f"{LAND}/0.png"])
    tree(tmp_path / "store", ["waterbird/water/1.png", "waterbird/land/2.png"])
    (data / "train/waterbird").symlink_to(tmp_path / "store/waterbird")
    (data / "train/landbird/again").symlink_to(data / "train")
    (tmp_path / "store/waterbird/up").symlink_to("..")
    listing = ImageFolderReader(str(data)).listing()
    found = read(data, tmp_path / "run")
    assert found.good == [f"{LAND}/0.png", "train/waterbird/land/2.png", "train/waterbird/water/1.png"]
    assert found.ignored["link_loop"] >= 2
    assert listing.ignored["link_loop"].example.startswith("train/landbird/again")


def test_a_link_that_git_wrote_as_text_is_followed(tmp_path: Path) -> None:
    data = tree(tmp_path / "data", [f"{LAND}/0.png"])
    tree(tmp_path / "store", ["waterbird/water/1.png"])
    (data / "train/waterbird").write_text("../../store/waterbird\n")
    found = read(data, tmp_path / "run")
    assert found.good == [f"{LAND}/0.png", "train/waterbird/water/1.png"] and found.ignored == {"link_text": 1}


def test_a_broken_link_is_a_reject_that_names_it(tmp_path: Path) -> None:
    data = tree(tmp_path / "data", [f"{LAND}/0.png"])
    (data / "train/waterbird").symlink_to("/nowhere/waterbird")
    (data / "train/itself").symlink_to("itself")
    (data / LAND / "1.png").symlink_to("gone.png")
    found = read(data, tmp_path / "run")
    assert found.reasons == dict.fromkeys(["train/itself", f"{LAND}/1.png", "train/waterbird"], "missing_image")
    assert "link to /nowhere/waterbird" in found.detail("train/waterbird")


def test_hidden_files_copies_and_system_folders_are_ignored_and_counted(tmp_path: Path) -> None:
    hidden = [
        f"{LAND}/.ipynb_checkpoints/0-checkpoint.png",
        f"{LAND}/._0.png",
        ".git/a/b.png",
        "__MACOSX/train/x.png",
        f"{LAND}/@eaDir/0.png/THUMB.jpg",
    ]
    data = tree(tmp_path / "data", [f"{LAND}/0.png", *hidden])
    tree(data, dict.fromkeys(["README.txt", f"{LAND}/Thumbs.db", "train/labels.csv"], b"text"))
    found = read(data, tmp_path / "run")
    assert (found.good, found.reasons) == ([f"{LAND}/0.png"], {})
    assert found.ignored == {"hidden": 5, "no_picture": 3}


def test_a_run_folder_inside_the_dataset_is_none_of_it(tmp_path: Path) -> None:
    data = tree(tmp_path / "data", [f"{LAND}/0.png", "runs/small/train/landbird/land/1.png"])
    tree(data, {"runs/small/.driver.lock": b"1"})
    assert read(data, tmp_path / "run").good == [f"{LAND}/0.png"]


@pytest.mark.parametrize(
    ("word", "split"),
    [
        ("valid", "val"),
        ("Validation", "val"),
        ("dev", "val"),
        ("Training", "train"),
        ("Testing", "test"),
        ("test", "test"),
    ],
)
def test_splits_by_their_usual_names(word: str, split: str, tmp_path: Path) -> None:
    found = read(tree(tmp_path / "data", [f"{word}/landbird/land/0.png"]), tmp_path / "run")
    assert [row["split"] for row in found.rows] == [split]


def test_a_folder_that_is_no_split_is_rejected_by_name_unless_the_recipe_says_what_it_is(tmp_path: Path) -> None:
    data = tree(tmp_path / "data", [f"{LAND}/0.png", "holdout/landbird/land/1.png"])
    found = read(data, tmp_path / "run")
    assert found.reasons == {"holdout/landbird/land/1.png": "unknown_split"}
    assert "'holdout', which is no split" in found.detail("holdout/landbird/land/1.png")
    named = read(data, tmp_path / "named", splits={"holdout": "test"})
    assert [row["split"] for row in named.rows] == ["test", "train"] and not named.reasons


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.JPEG", "JPEG"),
        ("a.jfif", "JPEG"),
        ("a.jpe", "JPEG"),
        ("a.Bmp", "BMP"),
        ("a.gif", "GIF"),
        ("a.TIF", "TIFF"),
        ("a.ppm", "PPM"),
        ("a.pnm", "PPM"),
        ("a.webp", "WEBP"),
        ("a.apng", "PNG"),
    ],
)
def test_whatever_the_decoder_reads_is_read(name: str, form: str, tmp_path: Path) -> None:
    data = tree(tmp_path / "data", {f"{LAND}/{name}": picture(form=form)})
    assert read(data, tmp_path / "run").good == [f"{LAND}/{name}"]


def test_a_picture_in_a_format_that_is_not_read_is_a_reject(tmp_path: Path) -> None:
    data = tree(tmp_path / "data", [f"{LAND}/0.png", f"{LAND}/1.HEIC", f"{LAND}/2.avif"])
    found = read(data, tmp_path / "run")
    assert found.reasons == dict.fromkeys([f"{LAND}/1.HEIC", f"{LAND}/2.avif"], "unsupported_format")


def test_a_device_is_no_file_and_a_folder_without_rights_is_a_reject(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tree(tmp_path / "data", [f"{LAND}/0.png", "train/waterbird/land/1.png"])
    os.mkfifo(data / LAND / "pipe.png")
    scan = os.scandir

    def refused(path: str) -> object:
        if str(path).endswith("waterbird"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refused)
    found = read(data, tmp_path / "run")
    assert found.good == [f"{LAND}/0.png"] and found.ignored == {"no_file": 1}
    assert found.reasons == {"train/waterbird": "unreadable"}
    assert "can't be listed: Permission denied" in found.detail("train/waterbird")


def test_nothing_to_read_says_what_is_there_instead(tmp_path: Path) -> None:
    data = tree(tmp_path / "data", {"train/landbird/land/0.npy": b"", "train/landbird/land/1.npy": b""})
    with pytest.raises(SourceError, match=r"no image below .*2 other files lie there: 2 x npy"):
        ImageFolderReader(str(data)).listing()
    with pytest.raises(SourceError, match="can't be listed: No such file"):
        ImageFolderReader(str(tmp_path / "gone")).listing()


def test_the_listing_is_made_once_and_tasks_read_their_own_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tree(tmp_path / "data", dict.fromkeys([f"{LAND}/{n:04d}.png" for n in range(1203)], picture()))
    listed: list[str] = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: [listed.append(str(path)), scan(path)][1])
    found = read(data, tmp_path / "run")
    assert (len(found.good), len(found.works)) == (1203, 3)
    assert sum(path.endswith("/land") for path in listed) == 1


def test_other_names_for_splits_and_labels_change_the_hash_and_the_usual_ones_do_not(tmp_path: Path) -> None:
    def hashed(folder: str, **options: object) -> str:
        reader = ImageFolderReader(str(tmp_path / folder), **options)  # type: ignore[arg-type]
        return plan_source(reader, "run", "data", LABELS)[0].task.task_hash

    tree(tmp_path / "usual", [f"{LAND}/0.png"])
    tree(tmp_path / "copy", [f"{LAND}/0.png", ".hidden/1.png", "notes.txt"])
    assert hashed("usual") == hashed("copy") == hashed("usual", splits={}) != hashed("usual", splits={"x": "val"})
