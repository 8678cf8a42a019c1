"""Files of tables: encodings, delimiters, headers, faulty lines, formats; what is refused shows no cell."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pytest

from fairshards.catalogs.cohorts.checked import check_cohort
from fairshards.catalogs.cohorts.schema import CohortError
from tests.catalogs.tables import PLANTED, ROWS, lines, people, read, read_rows, read_text, told

TEXT = people().to_csv(index=False)


def with_line(line: str, at: int = 50) -> str:
    """Return the table with a further line: ``at`` is its number in the file."""
    given = TEXT.splitlines()
    return "\n".join([*given[: at - 1], line, *given[at - 1 :]]) + "\n"


# Faulty lines


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        (f"60,male,1.2,icu,no,{PLANTED}", "line 50 has 6 fields, the header 5"),
        (f"60,{PLANTED},1.2", "line 50 has 3 fields"),
        (f"End of {PLANTED}", "line 50 has 1 field, the header 5"),
        (f'60,male,1.2,"{PLANTED},no', "the quotes of line 50"),
        (f'60,male,1.2,"{PLANTED}"x,no', "the quotes of line 50"),
    ],
)
@pytest.mark.parametrize("at", [50, ROWS + 2])
def test_a_faulty_line_is_a_reject_with_its_number_and_all_others_are_read(
    tmp_path: Path, line: str, detail: str, at: int
) -> None:
    cohort = read_text(tmp_path, with_line(line, at))
    (problem,) = cohort.rejects
    assert problem.detail.startswith(detail.replace("50", str(at))) and problem.reason == "malformed_row"
    assert problem.row == at - 2 and cohort.rows.num_rows == ROWS
    assert cohort.rows["lab"].to_pylist() == people()["lab"].astype(float).tolist()
    assert PLANTED not in repr(cohort.rejects) + repr(cohort.remarks) and problem.detail in cohort.remarks[0]


def test_rejects_after_a_faulty_line_keep_their_number_in_the_file(tmp_path: Path) -> None:
    text = with_line("60,male", 10).replace("\n", "\n60,male,1.0,icu,\n", 20).replace("60,male,1.0,icu,\n", "", 19)
    found = check_cohort(read_text(tmp_path, text), "sex", 0.3, 0).rejects
    assert [(one.row, one.reason) for one in found] == [(8, "malformed_row"), (19, "missing")]


def test_an_unclosed_quote_swallows_no_line_after_it(tmp_path: Path) -> None:
    text = with_line('60,male,"1.2,icu,no', 20)
    again = text.splitlines()
    again.insert(200, '61,male,"1.3,icu,no')
    cohort = read_text(tmp_path, "\n".join(again) + "\n")
    assert cohort.rows.num_rows == ROWS and [one.row for one in cohort.rejects] == [18, 199]


def test_a_quote_that_closes_some_rows_later_swallows_none_of_them(tmp_path: Path) -> None:
    given = with_line('60,male,1.2,"icu,no', 20).splitlines()
    given.insert(23, '61,male,1.3,icu",no')
    cohort = read_text(tmp_path, "\n".join(given) + "\n")
    assert cohort.rows.num_rows == ROWS + 1 and [one.row for one in cohort.rejects] == [18]
    assert cohort.rejects[0].detail == "a quote of line 20 closes in line 24, with whole rows between"


def test_rows_of_several_lines_are_told_of(tmp_path: Path) -> None:
    """A text with line breaks is one; and so is a row whose quote closes in the next one, which can't be told."""
    notes = [f"{PLANTED}, a\nb, and\nc, {number}" if number < 9 else "none" for number in range(ROWS)]
    cohort = read_rows(tmp_path, people(note=notes), leave_out=("note",))
    assert cohort.rows.num_rows == ROWS and not cohort.rejects
    assert cohort.remarks[0].startswith("9 rows have line breaks inside a field (the first begins in line 2)")
    given = with_line('60,male,1.2,"icu,no', 20).splitlines()
    given[20] = '61,male,1.3,north",no'
    cohort = read_text(tmp_path, "\n".join(given) + "\n")
    assert "1 row has line breaks inside a field (the first begins in line 20)" in cohort.remarks[0]


def test_a_header_between_rows_is_a_reject(tmp_path: Path) -> None:
    cohort = read_text(tmp_path, people().to_csv(index=False) * 2)
    assert len(cohort.rows) == 2 * ROWS and cohort.schema["died"].categories == ("no", "yes")
    assert [one.detail for one in cohort.rejects] == [
        f"line {ROWS + 2} is the header again, as where files were put one after the other"
    ]


def test_many_faulty_lines_are_refused(tmp_path: Path) -> None:
    bad = f"60,male,{PLANTED}\n" * 40
    with pytest.raises(
        CohortError, match="40 of 340 lines aren't as its header of 5 columns says, the first: line 302"
    ) as found:
        read_text(tmp_path, TEXT + bad)
    assert PLANTED not in told(found.value)


def test_empty_lines_and_fields_at_the_end_are_nothing(tmp_path: Path) -> None:
    cohort = read_text(tmp_path, TEXT.replace("\n", ",\n") + "\n\n,,,,,\n")
    assert cohort.rows.num_rows == ROWS and cohort.rejects == () and cohort.schema.names == list(people().columns)
    assert cohort.remarks == ("column 6 has no name and is empty: left out",)


# Headers


@pytest.mark.parametrize("sign", [",", ";", "\t", "|", " "])
@pytest.mark.parametrize("first", ["", "sep=;\n", f"Report of {PLANTED}\n\n", "\ufeff"])
def test_the_header_is_the_line_that_names_the_columns(tmp_path: Path, sign: str, first: str) -> None:
    cohort = read_text(tmp_path, first + people().to_csv(index=False, sep=sign))
    assert cohort.schema.names == list(people().columns) and cohort.rows.num_rows == ROWS
    assert PLANTED not in repr(cohort.remarks) and bool(cohort.remarks) == ("\n" in first)


@pytest.mark.parametrize("index", ["row names", "index", "named index"])
def test_row_names_are_left_out(tmp_path: Path, index: str) -> None:
    text = people().to_csv()
    text = {"row names": text.removeprefix(","), "index": text, "named index": "Unnamed: 0" + text}[index]
    cohort = read_text(tmp_path, text)
    assert cohort.schema.names == list(people().columns) and "first column" in cohort.remarks[0]


def test_a_nameless_column_gets_a_name(tmp_path: Path) -> None:
    cohort = read_text(tmp_path, people().rename(columns={"ward": ""}).to_csv(index=False))
    assert "column_4" in cohort.schema.names and "it is called column_4" in cohort.remarks[0]


def test_odd_names_are_names(tmp_path: Path) -> None:
    rows = people().rename(columns={"lab": ' CRP "high"\n(mg/l) ', "ward": "a.b"})
    assert read_text(tmp_path, rows.to_csv(index=False)).schema.names[2:4] == ['CRP "high" (mg/l)', "a.b"]


NO_HEADER = lines([(f"{PLANTED} {number}", "male", "b", "dead") for number in range(30)])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (NO_HEADER, "has no column 'died' or 'sex' among its 4 columns: is there a header"),
        (NO_HEADER.replace(",", ";"), "among its 4 columns: is there a header"),
        (NO_HEADER.replace(",", "^"), "among its 1 column: columns are separated by"),
        (TEXT.replace("died", "Died", 1), "no column 'died'.*'died' but for case"),
        (TEXT.replace("ward", "lab", 1), "names a column twice: 'lab'"),
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("age,sex,died\n", "has a header of 3 columns and no rows"),
        (lines([("age", "sex", "died"), *[(PLANTED, 60, "male", "no")] * 9]), "one field more than the 3 names"),
    ],
)
def test_files_without_the_columns_are_refused_without_their_first_row(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(CohortError, match=words) as found:
        read_text(tmp_path, text)
    assert PLANTED not in told(found.value)


# Encodings and formats


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends_are_found(tmp_path: Path, encoding: str, end: str) -> None:
    text = TEXT.replace("north", "süd").replace("\n", end)
    cohort = read_text(tmp_path, text.encode(encoding))
    assert cohort.schema["ward"].categories == ("icu", "süd") and cohort.rows.num_rows == ROWS
    assert bool(cohort.remarks) == (encoding in ("cp1252", "latin-1"))


def test_another_encoding_is_named_and_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    text = TEXT.replace("north", "北")
    assert "北" in read_text(tmp_path, text.encode("shift_jis"), encoding="shift_jis").schema["ward"].categories
    for given, encoding in (
        (TEXT.encode() + b"\0\0", None),
        (text.encode("shift_jis"), "no-such"),
        (b"\xff" * 99, "ascii"),
    ):
        with pytest.raises(CohortError, match="is no text in"):
            read_text(tmp_path, given, encoding=encoding)


def zipped(data: bytes, *names: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name in names:
            archive.writestr(name, data)
    return sink.getvalue()


def written(write: Callable[[pa.Table, io.BytesIO], None]) -> bytes:
    sink = io.BytesIO()
    write(pa.Table.from_pandas(people(), preserve_index=False), sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("t.csv.gz", lambda: gzip.compress(TEXT.encode())),
        ("t.csv.bz2", lambda: bz2.compress(TEXT.encode())),
        ("t.csv.xz", lambda: lzma.compress(TEXT.encode())),
        ("t.csv.zst", lambda: pa.compress(TEXT.encode(), "zstd", asbytes=True)),
        ("t.zip", lambda: zipped(TEXT.encode(), "t.csv", "__MACOSX/._t.csv")),
        ("t.csv", lambda: gzip.compress(TEXT.encode())),
        ("t.feather", lambda: written(pyarrow.feather.write_feather)),
        ("t.txt", lambda: TEXT.encode()),
        ("t.parquet", lambda: written(pa.parquet.write_table)),
        ("t", lambda: written(pa.parquet.write_table)),
        ("t.orc", lambda: written(pa.orc.write_table)),
    ],
)
def test_a_file_is_what_its_bytes_say(tmp_path: Path, name: str, make: Callable[[], bytes]) -> None:
    (tmp_path / name).write_bytes(make())
    cohort = read(tmp_path / name)
    assert cohort.rows.num_rows == ROWS and cohort.schema["lab"].decimals == 1 and cohort.schema.name == "t"


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("t.json", people().to_json(orient="records").encode(), r"is JSON.*pandas.read_json\('t.json'\)"),
        ("t.csv", people().to_json(orient="records", lines=True).encode(), r"is JSON.*lines=True"),
        ("t.xlsx", zipped(b"x", "[Content_Types].xml", "xl/workbook.xml"), r"Excel.*read_excel\('t.xlsx'\)"),
        ("t.xls", b"\xd0\xcf\x11\xe0" + b"\1" * 600, "Excel"),
        ("t.csv", zipped(b"x", "[Content_Types].xml"), "Excel"),
        ("t.sas7bdat", b"\0" * 12 + b"\xc2\xea\x81\x60" + b"\0" * 90, "SAS data set.*read_sas"),
        ("t.sav", b"$FL2@(#)", "SPSS.*read_spss"),
        ("t.dta", b"<stata_dta>", "Stata.*read_stata"),
        ("t.csv", b"<!DOCTYPE html>", "HTML"),
        ("t.db", b"SQLite format 3\0", "database"),
        ("t.rds", b"X\n\0", "R file"),
        ("t.zip", zipped(TEXT.encode(), "a.csv", "b.csv"), "zip of 2 files"),
        ("t.parquet", PLANTED.encode(), "can't be read"),
        ("t.parquet", written(pa.parquet.write_table)[:-900], "can't be read"),
        ("t.csv.gz", gzip.compress(TEXT.encode())[:-20], "can't be read"),
        ("t.zip", zipped(TEXT.encode(), "a.csv")[:-90], "can't be read"),
    ],
)
def test_other_formats_are_refused_by_name_with_what_to_do(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CohortError, match=words) as found:
        read(tmp_path / name)
    assert PLANTED not in told(found.value) and "icu" not in told(found.value)


def test_a_folder_and_no_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(CohortError, match="no table at"):
        read(tmp_path / "t.csv")


def test_a_nameless_column_of_a_parquet_file_gets_a_name(tmp_path: Path) -> None:
    people().assign(**{"": 1.5}).to_parquet(tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet").schema.names[-1] == "column_6"


def test_a_parquet_file_without_the_columns_or_rows_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({PLANTED: ["a"], "sex": ["m"]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(CohortError, match="has no column 'died' among its 2 columns") as found:
        read(tmp_path / "t.parquet")
    assert PLANTED not in told(found.value)
    people().head(0).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(CohortError, match="5 columns and no rows"):
        read(tmp_path / "t.parquet")
