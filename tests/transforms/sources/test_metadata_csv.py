"""metadata.csv as people and programs write it: quotes, delimiters, encodings, splits, labels, repeated rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairshards.transforms.sources import MetadataCsvReader, SourceError
from fairshards.transforms.sources.labels import GroupLabels
from fairshards.transforms.sources.stage import plan_source
from tests.transforms.dataset import LABELS, TABLE, Read, picture, tree


def table(folder: Path, text: str | bytes, *names: str) -> Path:
    """Write metadata.csv with pictures 0.png to 3.png, or those that are named."""
    data = text.encode() if isinstance(text, str) else text
    return tree(folder, {"metadata.csv": data, **dict.fromkeys(names or [f"{n}.png" for n in range(4)], picture())})


def read(data: Path, run: Path, labels: GroupLabels = LABELS, **options: object) -> Read:
    return Read(MetadataCsvReader(str(data), **options), run, labels)  # type: ignore[arg-type]


def listed(data: Path) -> None:
    MetadataCsvReader(str(data)).listing()


ROWS = "0.png,0,0,0,a\n1.png,1,1,1,b\n2.png,0,2,1,c\n3.png,1,0,0,d\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TABLE + '0.png,0,0,0,"a bird\n1.png,1,1,1,b\n', r"line 2: unexpected end of data.*quote"),
        (TABLE + '0.png,0,0,0,a\n1.png,1,0,0,"b\n2.png,0,0,0,c\n3.png,1,0,0,d",\n', r"line 3: a quote .* 2 of the"),
        (TABLE + '0.png,0,0,0,"a" bird\n', r"line 2: .*expected after"),
        (TABLE + "0.png,0,0,0,a\n1.png,1,0,0,\0\n", r"line 3 holds NUL"),
        ("", r"is empty"),
        (TABLE, r"a header and no row"),
        ("img_filename,y,split\n0.png,0,0\n", r"lacks \['place'\]"),
        ("img_filename,y,split,place,y\n0.png,0,0,0,1\n", r"\['y'\] twice"),
        (b"PK\x03\x04 an xlsx", r"compressed or an Excel file"),
        (TABLE.encode("utf-16-le"), r"line 1 holds NUL.*UTF-16"),
    ],
)
def test_a_table_that_cannot_be_trusted_is_refused_with_its_line(
    text: str | bytes, message: str, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=r"(?s)metadata\.csv.*" + message):
        listed(table(tmp_path, text))


@pytest.mark.parametrize(
    "data",
    [
        (TABLE + ROWS).encode(),
        (TABLE + ROWS).replace("\n", "\r\n").encode(),
        (TABLE + ROWS).replace("\n", "\r").encode(),
        (TABLE + ROWS).replace(",", ";").encode(),
        (TABLE + ROWS).replace(",", "\t").encode(),
        (TABLE + ROWS).replace("\n", ",\n").encode(),
        ("\ufeff" + TABLE + ROWS).encode(),
        (TABLE + ROWS).encode("utf-16"),
        (TABLE.replace(",", ", ") + "\n\n" + ROWS).encode(),
        (TABLE + '0.png,0,0,0,"two\nlines"\n' + ROWS.split("\n", 1)[1]).encode(),
    ],
)
def test_what_spreadsheets_and_programs_write_is_read(data: bytes, tmp_path: Path) -> None:
    found = read(table(tmp_path / "data", data), tmp_path / "run")
    assert [(row["key"], row["split"], row["group_name"]) for row in found.rows] == [
        ("0.png", "train", "landbird|land"),
        ("1.png", "val", "waterbird|water"),
        ("2.png", "test", "landbird|water"),
        ("3.png", "train", "waterbird|land"),
    ]
    assert found.ignored == {"index": 1}


def test_floats_are_their_integers_and_words_are_splits(tmp_path: Path) -> None:
    text = TABLE + "0.png,0.0,train,1.0,a\n1.png,1.0,valid,0.0,b\n2.png, 1 ,Testing,0,c\n3.png,0,2.0,1,d\n"
    found = read(table(tmp_path / "data", text), tmp_path / "run")
    assert [(row["split"], row["group_name"]) for row in found.rows] == [
        ("train", "landbird|water"),
        ("val", "waterbird|land"),
        ("test", "waterbird|land"),
        ("test", "landbird|water"),
    ]


def test_a_split_that_is_no_word_is_quoted_with_its_line_unless_the_recipe_says_what_it_is(tmp_path: Path) -> None:
    data = table(tmp_path / "data", TABLE + "0.png,0,A,0,a\n1.png,1,0,1,b\n", "0.png", "1.png")
    found = read(data, tmp_path / "run")
    assert found.reasons == {"0.png": "unknown_split"}
    assert found.detail("0.png").startswith("metadata.csv, line 2: split is 'A'; expected one of 0, 1, 2, train")
    assert read(data, tmp_path / "said", splits={"A": "test", "0": "train"}).good == ["0.png", "1.png"]


def test_rows_with_too_many_or_too_few_fields_are_rejects_with_their_line(tmp_path: Path) -> None:
    text = TABLE + "0.png,0,0,0,a, b\n1.png,1,0\n2.png,0,0,0,c\n"
    found = read(table(tmp_path / "data", text), tmp_path / "run")
    assert (found.good, found.reasons) == (["2.png"], dict.fromkeys(["0.png", "1.png"], "malformed_row"))
    assert found.detail("1.png") == "metadata.csv, line 3 has 3 fields, and the header has 5"


def test_spaces_around_a_name_count_only_where_a_file_has_them(tmp_path: Path) -> None:
    text = "img_filename, y, split, place\na.png, 0, 0, 0\n b.png, 1, 0, 1\n c.png , 1, 0, 1\n"
    data = read(table(tmp_path / "data", text, "a.png", " b.png", "c.png"), tmp_path / "run")
    assert sorted(data.good) == [" b.png", "a.png", "c.png"]


def test_a_long_field_is_no_unclosed_quote(tmp_path: Path) -> None:
    text = f"{TABLE}a.png,0,0,0,{'x' * 200_000}\n"
    assert read(table(tmp_path / "data", text, "a.png"), tmp_path / "run").good == ["a.png"]


def test_windows_separators_are_separators(tmp_path: Path) -> None:
    data = table(tmp_path / "data", TABLE + "train\\a\\0.png,0,0,0,a\n..\\1.png,0,0,0,b\n", "train/a/0.png")
    found = read(data, tmp_path / "run")
    assert (found.good, found.reasons) == (["train/a/0.png"], {"../1.png": "bad_key"})


def test_a_file_with_two_labels_or_two_splits_is_rejected_in_every_row_and_a_repeated_row_once(tmp_path: Path) -> None:
    text = TABLE + "0.png,0,0,0,a\n1.png,0,0,0,b\n0.png,1,0,0,c\n./1.png,0.0,0,0,d\n2.png,0,0,0,e\n2.png,0,1,0,f\n"
    found = read(table(tmp_path / "data", text), tmp_path / "run")
    told = [(row["key"], row["reason"]) for row in found.rows]
    assert told == [
        ("0.png", "conflicting_label"),
        ("1.png", None),
        ("0.png", "conflicting_label"),
        ("./1.png", "duplicate_key"),
        ("2.png", "conflicting_split"),
        ("2.png", "conflicting_split"),
    ]
    assert "line 2 says train, class '0', '0'; line 4 says train, class '1'" in found.detail("0.png")


def test_rows_far_apart_are_compared_too(tmp_path: Path) -> None:
    rows = "".join(f"{n}.png,0,0,0,x\n" for n in range(600))
    data = table(tmp_path / "data", TABLE + rows + "0.png,1,0,0,x\n599.png,0,0,0,x\n", "0.png", "599.png")
    rows_ = read(data, tmp_path / "run").rows
    told = [(row["key"], row["reason"]) for row in rows_ if row["reason"] != "missing_image"]
    assert told == [
        ("0.png", "conflicting_label"),
        ("599.png", None),
        ("0.png", "conflicting_label"),
        ("599.png", "duplicate_key"),
    ]


def test_what_stands_in_no_row_is_ignored_and_counted(tmp_path: Path) -> None:
    data = table(tmp_path / "data", TABLE + "0.png,0,0,0,a\n.kept/1.png,0,0,0,b\n", "0.png", ".kept/1.png", "x/2.png")
    tree(data, {"README": b"text", ".DS_Store": b"", "x/more.JPG": b""})
    found = read(data, tmp_path / "run")
    assert found.good == ["0.png", ".kept/1.png"]
    assert found.ignored == {"hidden": 1, "index": 1, "no_picture": 1, "unnamed": 2}


def test_problems_name_the_line(tmp_path: Path) -> None:
    data = table(tmp_path / "data", TABLE + "0.png,gull,0,0,a\ngone.png,0,0,0,b\n1.png,waterbird,0,,c\n")
    found = read(data, tmp_path / "run")
    assert [found.detail(key).split(":")[0] for key in ("0.png", "gone.png", "1.png")] == [
        f"metadata.csv, line {line}" for line in (2, 3, 4)
    ]


def test_a_unit_is_a_new_task_only_where_something_is_read_otherwise(tmp_path: Path) -> None:
    def hashed(text: str) -> tuple[str, ...]:
        reader = MetadataCsvReader(str(table(tmp_path, TABLE + text)))
        return reader.listing().units[0].rules

    assert hashed(ROWS) == ()
    assert hashed("0.png,0.0,0,0,a\n") == ("labels",) and hashed("0.png,0,train,0,a\n") == ("splits",)
    assert hashed("a\\0.png,0,0,0,a\n") == ("separators",) and hashed("0.png,0\n") == ("fields",)
    assert plan_source(MetadataCsvReader(str(tmp_path)), "run", "data", LABELS)
