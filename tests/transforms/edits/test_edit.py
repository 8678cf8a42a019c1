"""Edit and test tasks on tiny checkpoints: bad samples are rows, bad machines are errors, what is done is looked up."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import torch
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from PIL import Image

from fairshards.catalogs.database.catalog import Catalog
from fairshards.catalogs.manifests import manifest
from fairshards.catalogs.manifests.manifest import ManifestError
from fairshards.filters.scorers.clip_model import ClipModel
from fairshards.generators.editing.masks import decode_mask
from fairshards.trainers.classifiers.reference import ReferenceClassifier
from fairshards.trainers.classifiers.run import load_model
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.core.loaders import to_tensor
from fairshards.transforms.edits.edit import Edit, LazyEditor, edit_tasks
from fairshards.transforms.edits.edit_test import EditTest, LazyTester
from fairshards.transforms.edits.models import load_editor
from fairshards.transforms.edits.specs import EditorSpec, EditSpec
from fairshards.transforms.shards import commit
from fairshards.transforms.shards.task import ShardTask, TaskRecord
from tests.transforms.edit_plan import PLAN, Row, edit_spec, edit_test_spec, write_models, write_plan, write_training


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def lazy(models: Path) -> LazyEditor:
    return LazyEditor(edit_spec(models))


def plan_one(run: Path, spec: EditSpec, **changes: Any) -> tuple[ShardTask, list[Row]]:
    rows = write_plan(run, spec.editor.kind, **changes)
    (task,) = edit_tasks(str(run), PLAN, rows, spec)
    return task, rows


def read(run: Path, record: TaskRecord) -> tuple[manifest.Head, list[Row]]:
    return manifest.read_rows(run / record.manifest)


def member(run: Path, name: str) -> dict[str, bytes]:
    with tarfile.open(run / name) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]


def test_a_task_commits_its_pictures_and_a_row_for_every_edit(tmp_path: Path, lazy: LazyEditor) -> None:
    task, plan = plan_one(tmp_path, lazy.spec)
    record = Edit.do(task, lazy)
    head, rows = read(tmp_path, record)
    assert record.manifest.startswith("edits/edits-0000-") and head.stage == "edit"
    assert [row["edit_id"] for row in rows] == [row["edit_id"] for row in plan]
    assert (record.samples, record.rejects) == (5, 0)
    assert head.shard is not None and head.shard.samples == 5
    tar = (tmp_path / "edits" / head.shard.name).read_bytes()
    source = member(tmp_path, "source/train-000000.tar")
    for row, asked in zip(rows, plan, strict=True):
        made = np.asarray(Image.open(io.BytesIO(tar[row["offset"] : row["offset"] + row["size"]])))
        original = np.asarray(Image.open(io.BytesIO(source[f"{asked['source_id']}.png"])))
        assert made.shape == original.shape == (row["height"], row["width"], 3)
        changed = (made != original).any(2).mean()
        assert 0 < changed <= row["mask_share"] + 1e-9
    members = member(tmp_path, f"edits/{head.shard.name}")
    for row in rows:
        mask = decode_mask(members[f"{row['edit_id']}.mask.png"])
        assert mask.shape == (row["height"], row["width"]) and mask.mean() == pytest.approx(row["mask_share"])
    facts = json.loads(members[f"{plan[1]['edit_id']}.json"])
    assert (facts["phrase"], facts["replacement"], facts["kind"]) == ("a lake", "a desert", "background")


def test_a_finished_task_loads_no_model_and_a_repeated_one_commits_the_same(tmp_path: Path, lazy: LazyEditor) -> None:
    task, _ = plan_one(tmp_path / "a", lazy.spec)
    record, fresh = Edit.do(task, lazy), LazyEditor(lazy.spec)
    assert Edit.do(task, fresh) == record
    assert not {"editor", "segmenter"} & {*vars(fresh)}
    other, _ = plan_one(tmp_path / "b", lazy.spec)
    assert Edit.do(other, lazy).content_sha256 == record.content_sha256


def test_phrases_that_mask_nothing_or_all_are_rejects_and_the_others_stand(
    tmp_path: Path, models: Path, lazy: LazyEditor
) -> None:
    """An untrained segmenter finds about half: these limits are above it, so that of no object enough is seen."""
    spec = edit_spec(models, min_share=0.99)
    task, _ = plan_one(tmp_path, spec)
    record = Edit.do(task, strict := LazyEditor(spec))
    assert "editor" not in vars(strict)  # there is nothing to edit
    _, rows = read(tmp_path, record)
    assert [row["reason"] for row in rows] == ["mask_empty", "mask_full"] * 2 + ["mask_empty"]
    assert all(row["shard"] is None and row["mask_share"] is not None for row in rows)
    assert (record.samples, record.rejects) == (0, 5)


def test_a_picture_that_cannot_be_read_is_a_reject(tmp_path: Path, lazy: LazyEditor) -> None:
    task, _ = plan_one(tmp_path / "good", lazy.spec)
    _, good = read(tmp_path / "good", Edit.do(task, lazy))
    task, _ = plan_one(tmp_path / "bad", lazy.spec, bad=2)
    _, rows = read(tmp_path / "bad", Edit.do(task, lazy))
    assert [row["reason"] for row in rows] == [None, None, "unreadable_image", None, None]
    assert [rows[n]["image_sha256"] for n in (0, 1, 3, 4)] == [good[n]["image_sha256"] for n in (0, 1, 3, 4)]


def test_an_edit_that_fails_is_a_reject_and_a_machine_that_fails_an_error(tmp_path: Path, models: Path) -> None:
    lazy = LazyEditor(edit_spec(models))
    task, _ = plan_one(tmp_path, lazy.spec)
    pipeline = lazy.editor.pipeline  # type: ignore[attr-defined]
    decode, forward = pipeline.vae.decode, pipeline.unet.forward

    def exhausted(*args: object, **kwargs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    pipeline.unet.forward = exhausted
    with pytest.raises(torch.OutOfMemoryError):
        Edit.do(task, lazy)
    assert commit.find(task) is None and not list(tmp_path.glob("edits/*"))
    pipeline.unet.forward = forward

    def poisoned(latents: torch.Tensor, *args: object, **kwargs: object) -> object:
        out = decode(latents, *args, **kwargs)
        out[0][1] = float("nan")
        return out

    pipeline.vae.decode = poisoned
    record = Edit.do(task, lazy)
    _, rows = read(tmp_path, record)
    assert [row["reason"] for row in rows] == [None, "nan_image", None, "nan_image", None]
    assert rows[1]["mask_share"] > 0


def test_a_source_shard_that_changed_or_is_gone_is_an_error(tmp_path: Path, lazy: LazyEditor) -> None:
    task, _ = plan_one(tmp_path, lazy.spec)
    shard = tmp_path / "source" / "train-000000.tar"
    shard.write_bytes(bytes(len(shard.read_bytes())))
    with pytest.raises(ManifestError, match="isn't the one that was planned"):
        Edit.do(task, lazy)
    shard.unlink()
    with pytest.raises(ManifestError, match="isn't there"):
        Edit.do(task, lazy)


def test_an_instruction_editor_needs_no_segmenter(tmp_path: Path, models: Path) -> None:
    lazy = LazyEditor(edit_spec(models, "instruct"))
    task, _ = plan_one(tmp_path, lazy.spec, count=2)
    made = Edit.do(task, lazy)
    head, rows = read(tmp_path, made)
    assert [(row["status"], row["mask_share"]) for row in rows] == [("ok", 1.0)] * 2
    assert head.shard and not any("mask" in name for name in member(tmp_path, f"edits/{head.shard.name}"))
    _, scores = read(tmp_path, EditTest.do(made, LazyTester(edit_test_spec(models))))
    for row in scores:  # all may change, so that rho is the whole fall of the probability
        assert row["mask_attribution"] == pytest.approx(-row["probability_shift"], abs=0.01)


def test_tasks_are_hashed_over_what_decides_them(tmp_path: Path, models: Path) -> None:
    spec = edit_spec(models)
    rows = write_plan(tmp_path, tasks=2)
    first, second = edit_tasks(str(tmp_path), PLAN, rows, spec)
    assert [(task.name, task.start, task.stop) for task in (first, second)] == [
        ("edits-0000", 0, 5),
        ("edits-0001", 5, 10),
    ]
    assert spec.segmenter is not None
    changes = [
        replace(spec, segmenter=replace(spec.segmenter, dilate=3.0)),
        replace(spec, segmenter=replace(spec.segmenter, fingerprint="x" * 64)),
        replace(spec, editor=replace(spec.editor, strength=0.8)),
        replace(spec, editor=replace(spec.editor, fingerprint="x" * 64)),
        replace(spec, editor=replace(spec.editor, batch_size=3)),
    ]
    hashes = {edit_tasks(str(tmp_path), PLAN, rows, changed)[0].task_hash for changed in [spec, *changes]}
    assert len(hashes) == 1 + len(changes)
    moved = replace(spec, segmenter=replace(spec.segmenter, model="elsewhere"), device="cuda")
    assert edit_tasks(str(tmp_path), PLAN, rows, moved)[0].task_hash == first.task_hash
    with pytest.raises(ValueError, match="planned for editor 'inpaint'"):
        edit_tasks(str(tmp_path), PLAN, rows, edit_spec(models, "instruct"))


def test_specs_that_could_not_work_are_refused(models: Path) -> None:
    with pytest.raises(ValueError, match="no segmenter"):
        EditSpec(EditorSpec("inpaint", "m", "f"), None)
    with pytest.raises(ValueError, match="give both, or neither"):
        load_editor(EditorSpec("inpaint", str(models / "diffusion"), "f", height=32), "cpu")
    with pytest.raises(ValueError, match="phrase"):
        edit_test_spec(models, wording="a photo")


# ---- the test of the edits ----------------------------------------------------------------------------


def test_edits_are_scored_before_and_after(tmp_path: Path, models: Path, lazy: LazyEditor) -> None:
    task, plan = plan_one(tmp_path, lazy.spec)
    made = Edit.do(task, lazy)
    record = EditTest.do(made, LazyTester(edit_test_spec(models)))
    head, rows = read(tmp_path, record)
    assert head.stage == "edit_score" and record.manifest.startswith("edit_scores/")
    assert [row["edit_id"] for row in rows] == [row["edit_id"] for row in plan]
    reference = ReferenceClassifier.load(models / "training", batch_size=3)
    model, clip = load_model(models / "training"), ClipModel.load(models / "clip", device="cpu", batch_size=3)
    edits, source = read(tmp_path, made), member(tmp_path, "source/train-000000.tar")
    assert edits[0].shard is not None
    tar = (tmp_path / "edits" / edits[0].shard.name).read_bytes()
    for row, asked, place in zip(rows, plan, edits[1], strict=True):
        before = Image.open(io.BytesIO(source[f"{asked['source_id']}.png"])).convert("RGB")
        after = Image.open(io.BytesIO(tar[place["offset"] : place["offset"] + place["size"]]))
        with torch.no_grad():
            shares = [model(to_tensor(image, 24)[None]).softmax(1)[0].tolist() for image in (before, after)]
        y = asked["y"]
        assert row["probabilities_before"] == pytest.approx(shares[0], abs=1e-5)
        assert row["probabilities_after"] == pytest.approx(shares[1], abs=1e-5)
        assert [row["predicted_before"], row["predicted_after"]] == [int(np.argmax(share)) for share in shares]
        assert row["hit"] == (row["predicted_before"] == y != row["predicted_after"])
        assert row["probability_shift"] == pytest.approx(shares[1][y] - shares[0][y], abs=1e-5)
        mask = decode_mask(member(tmp_path, f"edits/{edits[0].shard.name}")[f"{row['edit_id']}.mask.png"])
        rho = reference.mask_attribution(before, after.convert("RGB"), mask, y)
        assert row["mask_attribution"] == pytest.approx(rho, abs=1e-6)
        embedded = clip.embed_images([before, after])
        for name in ("phrase", "replacement"):
            text = clip.embed_text(asked[name]) if asked[name] else None
            expected = [None, None] if text is None else (embedded @ text).tolist()
            assert [row[f"{name}_before"], row[f"{name}_after"]] == pytest.approx(expected, abs=1e-5)


def test_a_tested_shard_is_looked_up_and_rejects_of_the_edit_have_no_scores(
    tmp_path: Path, models: Path, lazy: LazyEditor
) -> None:
    task, plan = plan_one(tmp_path, lazy.spec, bad=2)
    made, spec = Edit.do(task, lazy), edit_test_spec(models)
    record = EditTest.do(made, LazyTester(spec))
    assert (record.samples, record.rejects) == (4, 0)
    assert plan[2]["edit_id"] not in {row["edit_id"] for row in read(tmp_path, record)[1]}
    fresh = LazyTester(spec)
    assert EditTest.do(made, fresh) == record and "models" not in vars(fresh)
    other = edit_test_spec(models, wording="a photo of {phrase}")
    assert EditTest.task_of(made, other).task_hash != EditTest.task_of(made, spec).task_hash


def test_a_shard_without_a_single_edit_has_no_scores(tmp_path: Path, models: Path) -> None:
    spec = edit_spec(models, min_share=0.99)
    task, _ = plan_one(tmp_path, spec)
    record = EditTest.do(Edit.do(task, LazyEditor(spec)), LazyTester(edit_test_spec(models)))
    assert read(tmp_path, record)[1] == []


def test_scores_that_no_manifest_can_hold_are_rejects(tmp_path: Path, models: Path, lazy: LazyEditor) -> None:
    task, _ = plan_one(tmp_path, lazy.spec, count=2)
    made, tester = Edit.do(task, lazy), LazyTester(edit_test_spec(models))
    probabilities = tester.models[0].probabilities
    tester.models[0].probabilities = lambda images: probabilities(images) * np.nan  # type: ignore[method-assign]
    _, rows = read(tmp_path, EditTest.do(made, tester))
    assert [(row["status"], row["reason"], row["hit"]) for row in rows] == [("reject", "not_finite", None)] * 2


def test_a_reference_of_other_classes_is_refused(tmp_path: Path, models: Path, lazy: LazyEditor) -> None:
    task, _ = plan_one(tmp_path / "run", lazy.spec)
    training = write_training(tmp_path / "training", ("waterbird", "landbird"))
    made = Edit.do(task, lazy)
    with pytest.raises(TrainerError, match="knows"):
        EditTest.do(made, LazyTester(replace(edit_test_spec(models), training=str(training))))
    with pytest.raises(TrainerError, match="no finished stage"):
        EditTest.do(made, LazyTester(replace(edit_test_spec(models), training=str(tmp_path / "nowhere"))))


def test_the_reference_pads_its_batches(models: Path) -> None:
    random = np.random.default_rng(0)
    images = [Image.fromarray(random.integers(0, 256, (30, 20, 3), dtype=np.uint8)) for _ in range(5)]
    reference = ReferenceClassifier.load(models / "training", batch_size=4)
    together = reference.probabilities(images)
    assert together.shape == (5, 2) and np.allclose(together.sum(1), 1)
    assert np.array_equal(reference.probabilities(images[4:]), together[4:])
    assert reference.probabilities([]).shape == (0, 2)
    with pytest.raises(TrainerError, match="batch_size is 0"):
        ReferenceClassifier.load(models / "training", batch_size=0)


def test_the_stages_run_in_a_pipeline_and_the_catalog_takes_them_in(tmp_path: Path, models: Path) -> None:
    spec = edit_spec(models)
    rows = write_plan(tmp_path, count=3, tasks=2, bad=1)
    tasks = edit_tasks(str(tmp_path), PLAN, rows, spec)
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        _ = (
            pipeline
            | "Tasks" >> beam.Create(tasks)
            | "Edits" >> Edit(spec)
            | "Tests" >> EditTest(edit_test_spec(models))
        )
    names = [PLAN, *(path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.glob("edit*/*.parquet")))]
    assert len(names) == 5
    with Catalog.open(tmp_path, "write") as catalog:
        catalog.sync(names)
        counts = [
            catalog.con.execute(f"SELECT count(*) FROM {table}").fetchone()
            for table in ("edit_plan", "edits", "edit_scores", "rejects")
        ]
        assert counts == [(6,), (4,), (4,), (2,)]
        shards = catalog.con.execute("SELECT DISTINCT shard FROM edits ORDER BY shard").fetchall()
        assert all((tmp_path / shard).is_file() for (shard,) in shards) and len(shards) == 2
        widths = catalog.con.execute("SELECT DISTINCT len(probabilities_after) FROM edit_scores").fetchall()
        assert widths == [(2,)]
