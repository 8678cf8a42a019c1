"""Nothing of a dataset is lost: whatever it is made of, sources + rejects + ignored is all that is there."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairshards.transforms.sources import ImageFolderReader, MetadataCsvReader, SourceError, WebDatasetReader
from fairshards.transforms.sources.labels import LabelError
from tests.transforms.dataset import Read, picture, tar_of

PICTURE = picture()
FEW = settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def mostly(usual: list, *odd: object) -> st.SearchStrategy:
    """Draw a usual value four times in five, else an odd one."""
    return st.integers(0, 4).flatmap(lambda n: st.sampled_from(usual if n else list(odd)))


BODIES = mostly([PICTURE], b"", b"no picture", PICTURE[:40])
SPLITS = mostly(["train", "val", "test"], "valid", "Testing", "extra", "0", ".cache")
CLASSES = mostly(["landbird", "waterbird"], "0", "1.0", "gull", "7", " ", "__MACOSX")
PLACES = mostly(["land", "water"], "1", ".ipynb_checkpoints", "space", "2")
ENDS = mostly([".png", ".jpeg", ".gif"], ".PNG", ".heic", ".txt", "", ".db", ".tar.gz")
STEMS = mostly(["a", "b", "é"], "._a", ".b", "c.d", "Thumbs", "a b", "%20", "[x]")


@contextmanager
def folder() -> Iterator[Path]:
    """A folder of its own for each example."""
    place = Path(tempfile.mkdtemp())
    try:
        yield place
    finally:
        shutil.rmtree(place)


def read(reader: ImageFolderReader | MetadataCsvReader | WebDatasetReader, run: Path) -> Read | None:
    """Read a dataset; None where it is refused as a whole, which names why."""
    try:
        return Read(reader, run)
    except (SourceError, LabelError) as error:
        assert str(error)
        return None


def rejects(found: Read) -> int:
    assert all(row["detail"] for row in found.rows if row["status"] == "reject")
    return sum(row["status"] == "reject" for row in found.rows)


@FEW
@given(
    st.dictionaries(st.tuples(SPLITS, CLASSES, PLACES, STEMS, ENDS), BODIES, max_size=12),
    st.lists(st.tuples(SPLITS, STEMS, ENDS), max_size=3, unique=True),
)
def test_every_file_of_a_tree(files: dict[tuple[str, ...], bytes], shallow: list[tuple[str, ...]]) -> None:
    with folder() as place:
        named = {"/".join(parts[:-1]) + parts[-1]: body for parts, body in files.items()}
        named |= {f"{split}/{stem}{end}": PICTURE for split, stem, end in shallow}
        for name, body in named.items():
            (place / "data" / name).parent.mkdir(parents=True, exist_ok=True)
            (place / "data" / name).write_bytes(body)
        (place / "data").mkdir(exist_ok=True)
        found = read(ImageFolderReader(str(place / "data")), place / "run")
        if found:
            assert len(found.good) + rejects(found) + sum(found.ignored.values()) == len(named)


ENDINGS = ("png", "JPG", "gif", "heic", "cls", "json", "txt", "emb.npy")
KEYS = mostly(["a", "b", "é", "x/a"], "._a", ".b", "__MACOSX/a", "[x]")
WHOLE = st.just({"png", "cls", "json"})
SAMPLES = st.dictionaries(
    KEYS,
    st.tuples(
        WHOLE | st.sets(st.sampled_from(ENDINGS), min_size=1), BODIES, mostly(["landbird", "waterbird"], "0", "9", "")
    ),
    max_size=6,
)


def members_of(key: str, ends: list[str], body: bytes, label: str) -> list[tuple[str, bytes]]:
    """Return a sample's members; every json says where the bird is."""
    said = {"cls": label.encode(), "txt": b"a bird", "json": json.dumps({"background": "land"}).encode()}
    return [(f"{key}.{end}", said.get(end, body)) for end in ends]


def used(ends: set[str]) -> int:
    """Return how many members of a sample are read: labels, facts, caption, and one picture."""
    return len(ends & {"cls", "json", "txt"}) + bool(ends & {"png", "JPG", "gif", "heic"})


@FEW
@given(st.lists(SAMPLES, max_size=3))
def test_every_member_of_every_tar(tars: list[dict[str, tuple[set[str], bytes, str]]]) -> None:
    with folder() as place:
        (place / "data").mkdir()
        total = 0
        for number, samples in enumerate(tars):
            members = [one for key, (ends, *rest) in samples.items() for one in members_of(key, sorted(ends), *rest)]
            tar_of(place / f"data/train-{number}.tar", members)
            total += len(members)
        found = read(WebDatasetReader(str(place / "data")), place / "run")
        if found:
            assert len(found.rows) == len(found.good) + rejects(found)
            taken = [
                used(ends) for samples in tars for key, (ends, *_) in samples.items() if not key.startswith((".", "__"))
            ]
            assert sum(taken) + sum(found.ignored.values()) == total
            assert sum(map(bool, taken)) == len(found.rows)


@FEW
@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", "v1.0"]), st.sampled_from(ENDINGS)), max_size=14))
def test_members_in_any_order_lose_no_sample(given_: list[tuple[str, str]]) -> None:
    with folder() as place:
        tar_of(place / "data/train-0.tar", [one for key, end in given_ for one in members_of(key, [end], PICTURE, "0")])
        found = read(WebDatasetReader(str(place / "data")), place / "run")
        if found:
            keys = {row["key"] for row in found.rows}
            assert {key for key, end in given_ if end != "emb.npy" and key != "v1.0"} <= keys
            assert len(found.rows) == len(found.good) + rejects(found)


NAMES = mostly(["0.png", "1.png", "sub/2.JPG"], "sub\\2.JPG", "gone.png", "../up.png", "", "./0.png", "3.heic")
ROW = st.tuples(
    NAMES,
    mostly(["0", "1"], "0.0", " 1", "", "x"),
    mostly(["0", "1", "2"], "train", "valid", "2.0", "x"),
    mostly(["0", "1", '"1"'], "", "1.0", "x,0"),
)
ROWS = st.lists(ROW.map(list) | ROW.map(lambda row: [*row][:3]), max_size=8)


@FEW
@given(ROWS, st.sets(st.sampled_from(["0.png", "1.png", "sub/2.JPG", "9.png", ".h/8.png", "notes.txt", "3.heic"])))
def test_every_row_and_every_file_of_a_table(rows: list[list[str]], files: set[str]) -> None:
    with folder() as place:
        text = "\n".join(",".join(row) for row in [["img_filename", "y", "split", "place"], *rows])
        for name in files:
            (place / "data" / name).parent.mkdir(parents=True, exist_ok=True)
            (place / "data" / name).write_bytes(PICTURE)
        (place / "data").mkdir(exist_ok=True)
        (place / "data/metadata.csv").write_text(text)
        found = read(MetadataCsvReader(str(place / "data")), place / "run")
        if found:
            assert len(found.good) + rejects(found) == len(rows)
            named = {row[0].replace("\\", "/").removeprefix("./") for row in rows}
            assert len(files & named) + sum(found.ignored.values()) == len(files) + 1
