"""Caption and extract tasks over real source shards: commits, resume, rejects, and both stages in one Beam job."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fairshards.catalogs.database.catalog import Catalog
from fairshards.catalogs.manifests import manifest
from fairshards.catalogs.manifests.manifest import Head
from fairshards.catalogs.questions.explain import life_story
from fairshards.generators.checkpoints.model_files import fingerprint
from fairshards.generators.language.endpoint import EndpointError, EndpointSettings
from fairshards.generators.language.retries import Retries
from fairshards.generators.language.sampling import Decoding
from fairshards.generators.phrases.prompt import SCHEMA
from fairshards.pipeline.run.jobs import Launcher
from fairshards.transforms.language.caption import Caption, LazyCaptioner, caption_tasks
from fairshards.transforms.language.extract import Extract, LazyExtractor
from fairshards.transforms.language.specs import CaptionerSpec, ExtractorSpec, TextModelSpec
from fairshards.transforms.shards import commit
from fairshards.transforms.shards.task import ShardTask
from fairshards.transforms.sources import WebDatasetReader
from fairshards.transforms.sources.stage import ingest_unit, plan_source
from tests.chat_server import Reply, chat_server, fails, says
from tests.tiny_text_models import write_tiny_git, write_tiny_t5
from tests.transforms.sources.test_sources import LABELS, picture, write_tar

INDEX = "source/index-0.parquet"
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_tiny_git(folder / "git")
    write_tiny_t5(folder / "t5")
    return folder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with two source shards of five training and one test picture each, and their index."""
    folder = tmp_path_factory.mktemp("run")
    for unit in range(2):
        members = []
        for number in range(6):
            facts = {"class": "waterbird" if number % 2 else "landbird", "background": "land"}
            key = f"{unit}{number}"
            members += [
                (f"{key}.png", picture(10 * unit + number)),
                (f"{key}.json", json.dumps(facts).encode()),
                (f"{key}.cls", facts["class"].encode()),
            ]
        write_tar(folder / "data" / f"train-{unit:06d}.tar", members)
    reader = WebDatasetReader(str(folder / "data"))
    rows = []
    for work in plan_source(reader, str(folder / "run"), "birds", LABELS):
        made = manifest.read_rows(folder / "run" / ingest_unit(work, reader, LABELS).manifest)[1]
        for number, row in enumerate(made):
            names = set(manifest.SCHEMAS["index"].names) & set(row)
            split = "test" if number == 3 else "train"
            rows.append({**{name: row[name] for name in names}, "sample_id": row["source_id"], "g": 0, "split": split})
    data, _ = manifest.encode(Head("index", "index", "0" * 64), rows, {}, row_group=4)
    manifest.write_local(folder / "run" / INDEX, data)
    return folder / "run"


@pytest.fixture
def run(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "run"))


def local(folder: Path) -> TextModelSpec:
    return TextModelSpec(f"tiny-{folder.name}", fingerprint(folder), Decoding(8), folder=str(folder), batch_size=2)


def captioner(models: Path, **changes: Any) -> CaptionerSpec:
    model = local(models / "git")
    return CaptionerSpec(replace(model, **changes))


def extractor(models: Path, **changes: Any) -> ExtractorSpec:
    model = local(models / "t5")
    return ExtractorSpec(replace(model, **changes), (("landbird",), ("waterbird", "bird")))


def served(url: str, name: str = "small", **changes: Any) -> TextModelSpec:
    endpoint = EndpointSettings(url, name, retries=Retries(2, 0.01, 1), timeout=30, concurrency=2)
    return TextModelSpec(name, decoding=Decoding(50), endpoint=endpoint, **changes)


def index_rows(run: Path) -> Rows:
    return manifest.read_rows(run / INDEX)[1]


def tasks_of(run: Path, spec: CaptionerSpec, size: int = 4) -> list[ShardTask]:
    return caption_tasks(str(run), INDEX, index_rows(run), spec, size)


def rows_of(run: Path, name: str) -> Rows:
    return manifest.read_rows(run / name)[1]


def answers(number: int, body: dict[str, Any]) -> Reply:
    """Play a vision model and a language model, told apart by what they are asked for."""
    if "response_format" not in body:
        return says("a waterbird with a reed on a lake")
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA
    return says(json.dumps({"foreground": ["reed"], "background": "lake", "alternative": "desert"}))


# ---- tasks -------------------------------------------------------------------------------------------


def test_tasks_are_ranges_of_one_shard(run: Path, models: Path) -> None:
    tasks = tasks_of(run, captioner(models))
    assert [(task.name, task.start, task.stop) for task in tasks] == [
        ("source-00000-000", 0, 4),
        ("source-00000-001", 4, 6),
        ("source-00001-000", 6, 10),
        ("source-00001-001", 10, 12),
    ]
    assert len({task.task_hash for task in tasks}) == 4
    assert {(task.stage, task.folder, task.manifest) for task in tasks} == {("caption", "captions", INDEX)}
    with pytest.raises(ValueError, match="has 0 rows"):
        tasks_of(run, captioner(models), 0)


def test_splits_that_arent_wanted_have_no_task(run: Path, models: Path) -> None:
    spec = replace(captioner(models), splits=("test",))
    assert [(task.start, task.stop) for task in tasks_of(run, spec, 2)] == [(2, 4), (8, 10)]


def test_a_task_is_another_when_what_decides_it_changes(run: Path, models: Path) -> None:
    spec, rows = captioner(models), index_rows(run)

    def hashes(spec: CaptionerSpec = spec, rows: Rows = rows) -> list[str]:
        return [task.task_hash for task in caption_tasks(str(run), "other/index.parquet", rows, spec, 4)]

    first = [task.task_hash for task in tasks_of(run, spec)]
    assert hashes() == first
    model = spec.model
    for changed in (
        replace(spec, instruction="describe"),
        replace(spec, longest=9),
        replace(spec, model=replace(model, fingerprint="f" * 64)),
        replace(spec, model=replace(model, batch_size=3)),
        replace(spec, model=replace(model, decoding=Decoding(9))),
        replace(spec, model=replace(model, dtype="bfloat16")),
    ):
        assert not set(hashes(changed)) & set(first)
    for same in (replace(model, seed=5), replace(model, cache="x"), replace(model, threads=3)):
        assert hashes(replace(spec, model=same)) == first
    sampling = replace(spec, model=replace(model, decoding=Decoding(8, 1.0)))
    assert hashes(sampling) != hashes(replace(sampling, model=replace(sampling.model, seed=5)))
    other_picture = [{**row, "image_sha256": "0" * 64} if number == 0 else row for number, row in enumerate(rows)]
    relabelled = [{**row, "y": 1 - row["y"]} if number == 0 else row for number, row in enumerate(rows)]
    for changed_rows in (other_picture, relabelled):
        assert hashes(rows=changed_rows)[0] != first[0]
        assert hashes(rows=changed_rows)[1:] == first[1:]
    assert hashes(rows=rows[1:])[2:] == first[2:]  # a row less in the first shard leaves the second one done


def test_a_model_is_in_a_folder_or_behind_an_endpoint() -> None:
    with pytest.raises(ValueError, match="a folder or an endpoint, one of the two"):
        TextModelSpec("m")
    with pytest.raises(ValueError, match="one of the two"):
        TextModelSpec("m", folder="x", endpoint=EndpointSettings("http://host/v1", "m"))
    behind = TextModelSpec("m", endpoint=EndpointSettings("http://host/v1", "m"), device="cuda")
    moved = TextModelSpec("m", endpoint=EndpointSettings("http://other:1/v1", "m", timeout=1, concurrency=9))
    assert behind.worker_device == "cpu" and behind.identity == moved.identity
    assert behind.seed_of("a") == 0


# ---- local models ------------------------------------------------------------------------------------


def test_captions_are_committed_and_a_finished_task_loads_no_model(run: Path, models: Path) -> None:
    spec = captioner(models)
    (task, *_), lazy = tasks_of(run, spec), LazyCaptioner(spec)
    record = Caption.do(task, lazy)
    rows = rows_of(run, record.manifest)
    wanted = [row["sample_id"] for row in index_rows(run)[:4] if row["split"] == "train"]
    assert [row["source_id"] for row in rows] == wanted and len(rows) == 3
    assert record.manifest.startswith("captions/source-00000-000-")
    assert {row["captioner"] for row in rows} == {"tiny-git"}
    fresh = LazyCaptioner(spec)
    assert Caption.do(task, fresh) == record and "captioner" not in vars(fresh)


def test_a_repeated_task_commits_the_same_content(run: Path, models: Path) -> None:
    spec = captioner(models, decoding=Decoding(8, 1.0))
    (task, *_), lazy = tasks_of(run, spec), LazyCaptioner(spec)
    first = Caption.do(task, lazy)
    (run / first.manifest).unlink()
    assert Caption.do(task, LazyCaptioner(spec)).content_sha256 == first.content_sha256


def test_a_shard_that_is_gone_raises_and_commits_nothing(run: Path, models: Path) -> None:
    spec = captioner(models)
    (task, *_), lazy = tasks_of(run, spec), LazyCaptioner(spec)
    for tar in (run / "source").glob("*.tar"):
        tar.unlink()
    with pytest.raises(FileNotFoundError):
        Caption.do(task, lazy)
    assert commit.find(task) is None


def test_a_seq2seq_extractor_on_its_manifest(run: Path, models: Path) -> None:
    spec, wanted = captioner(models), extractor(models)
    record = Caption.do(tasks_of(run, spec)[0], LazyCaptioner(spec))
    lazy = LazyExtractor(wanted)
    found = Extract.do(record, lazy)
    rows = rows_of(run, found.manifest)
    good = [row["source_id"] for row in rows_of(run, record.manifest) if row["status"] == "ok"]
    assert {row["source_id"] for row in rows} <= set(good) and {row["status"] for row in rows} <= {"reject"}
    head = manifest.read_head(run / found.manifest)
    assert (head.stage, head.inputs) == ("extract", (record.content_sha256,))
    fresh = LazyExtractor(wanted)
    assert Extract.do(record, fresh) == found and "model" not in vars(fresh)
    other = replace(wanted, labels=(("landbird",), ("waterbird",)))
    assert Extract.task_of(record, other).task_hash != found.task.task_hash


# ---- endpoints, Beam, the catalog --------------------------------------------------------------------


def test_both_stages_in_one_job_behind_an_endpoint_and_what_the_catalog_says(run: Path, tmp_path: Path) -> None:
    with chat_server(answers) as server:
        spec = CaptionerSpec(served(server.url, "eyes", cache=str(tmp_path / "answers")))
        labels = (("landbird",), ("waterbird",))
        wanted = ExtractorSpec(served(server.url, "words", cache=str(tmp_path / "answers")), labels)
        tasks = tasks_of(run, spec)
        Launcher().map(tasks, Caption(spec), Extract(wanted))
        assert len(server.bodies) == 10 + 2  # ten pictures; one caption for each of two classes
    assert {manifest.read_attempt(path)["cut"] for path in (run / "captions").glob("*.parquet")} == {0}
    spent = [manifest.read_attempt(path) for path in sorted((run / "phrases").glob("*.parquet"))]
    assert sum(one["captions"] for one in spent) == 10 and {one["further"] for one in spent} == {0}
    assert {one["answers"] for one in spent} == {"held to a schema by the endpoint"}
    with chat_server(lambda number, body: fails(500)) as server:
        shutil.rmtree(run / "phrases")
        elsewhere = ExtractorSpec(served(server.url, "words", cache=str(tmp_path / "answers")), labels)
        captioned = [record for task in tasks if (record := commit.find(task))]
        for record in captioned:
            Extract.do(record, LazyExtractor(elsewhere))
        assert not server.bodies
    names = [
        path.relative_to(run).as_posix()
        for stage in ("source", "captions", "phrases")
        for path in sorted((run / stage).glob("*.parquet"))
    ]
    with Catalog.open(run, "write") as catalog:
        catalog.sync(names)
        said = catalog.con.execute("SELECT captioner, caption, count(*) FROM captions GROUP BY ALL").fetchall()
        kinds = catalog.con.execute("SELECT kind, phrase, count(*) FROM phrases GROUP BY ALL ORDER BY ALL").fetchall()
    assert said == [("eyes", "a waterbird with a reed on a lake", 10)]
    assert kinds == [("alternative", "desert", 10), ("background", "lake", 10), ("foreground", "reed", 10)]
    (run / "run.json").write_text(json.dumps({"manifests": names}))
    story = life_story(run, index_rows(run)[0]["sample_id"])
    assert [facts["caption"] for facts in story.of("captioned")] == ["a waterbird with a reed on a lake"]
    assert sorted(facts["phrase"] for facts in story.of("phrase")) == ["desert", "lake", "reed"]


def test_local_stages_in_one_job_give_the_bytes_of_the_plain_functions(run: Path, models: Path) -> None:
    spec, wanted = captioner(models, threads=1), extractor(models, threads=1)
    tasks = tasks_of(run, spec)
    Launcher().map(tasks, Caption(spec), Extract(wanted))
    by_beam = {path.name: manifest.read_head(path).content_sha256 for path in run.glob("[cp]*s/*.parquet")}
    assert len(by_beam) == 8
    shutil.rmtree(run / "captions")
    shutil.rmtree(run / "phrases")
    lazy, words = LazyCaptioner(spec), LazyExtractor(wanted)
    for task in tasks:
        Extract.do(Caption.do(task, lazy), words)
    assert {path.name: manifest.read_head(path).content_sha256 for path in run.glob("[cp]*s/*.parquet")} == by_beam


def test_an_endpoint_that_fails_raises_and_what_was_paid_for_is_kept(run: Path, tmp_path: Path) -> None:
    cache = str(tmp_path / "answers")
    with chat_server(lambda number, body: answers(number, body) if number < 2 else fails(503)) as server:
        spec = CaptionerSpec(served(server.url, cache=cache, batch_size=1))
        task = tasks_of(run, spec)[0]
        with pytest.raises(EndpointError, match="status 503"):
            Caption.do(task, LazyCaptioner(spec))
        assert commit.find(task) is None
    with chat_server(answers) as server:
        spec = CaptionerSpec(served(server.url, cache=cache, batch_size=1))
        assert tasks_of(run, spec)[0].task_hash == task.task_hash
        assert Caption.do(task, LazyCaptioner(spec)).samples == 3
        assert len(server.bodies) == 1


def test_a_key_reaches_neither_manifests_nor_answers(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORDS_KEY", "sk-secret-99")
    with chat_server(lambda number, body: says("a bird, sk-secret-99")) as server:
        endpoint = EndpointSettings(server.url, "eyes", key_variable="WORDS_KEY")
        spec = CaptionerSpec(TextModelSpec("eyes", endpoint=endpoint, cache=str(tmp_path / "answers")))
        record = Caption.do(tasks_of(run, spec)[0], LazyCaptioner(spec))
        assert server.keys[0] == "Bearer sk-secret-99"
    assert rows_of(run, record.manifest)[0]["caption"] == "a bird, ***"
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix in (".json", ".parquet")]
    assert files and not any(b"sk-secret" in path.read_bytes() for path in files)


def test_no_accelerator_is_asked_for_behind_an_endpoint(models: Path) -> None:
    from fairshards.transforms.stage import StageHandler

    behind = TextModelSpec("m", endpoint=EndpointSettings("http://host/v1", "m"), device="cuda")
    assert StageHandler(Caption, CaptionerSpec(behind)).get_resource_hints() == {}
    local = replace(extractor(models).model, device="cuda", min_ram="8GB")
    hints = StageHandler(Extract, ExtractorSpec(local, ())).get_resource_hints()
    assert hints["min_ram"] == "8GB" and "nvidia" in hints["accelerator"]
