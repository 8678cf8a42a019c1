"""The plan: whole shards that only append, ids that follow what determines the pixels."""

from __future__ import annotations

from dataclasses import replace

from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.pictures.models import generator_spec, scorer_spec
from fairshards.pipeline.synthesis import plan as planning
from fairshards.pipeline.synthesis.plan import shard_rows
from fairshards.transforms.pictures.specs import GeneratorSpec

SPEC = GeneratorSpec("/model", "f" * 64, "cpu", "float32", None, 8, 5)


def rows(*overrides: str, spec: GeneratorSpec = SPEC, shard: int = 0) -> list[planning.Row]:
    recipe = load_recipe("pocket-waterbirds", ["quota.shard_size=4", *overrides])
    return planning.shard_rows(recipe, spec, (0, 1), shard, 0)


def test_shard_k_holds_replicates_k_s_to_k_plus_1_s() -> None:
    assert [row["replicate"] for row in rows(shard=2)] == [8, 9, 10, 11]
    assert {row["task"] for row in rows(shard=2)} == {"landbird-water-0002"}
    assert rows()[0]["prompt"] == "a photo of a landbird on water"


def test_a_larger_quota_keeps_the_earlier_ids() -> None:
    assert rows() == rows("quota.per_group=1000")


def test_ids_change_with_all_that_determines_the_pixels_and_nothing_else() -> None:
    base = rows()
    for override in (
        "seed=1",
        "generator.steps=19",
        "generator.guidance_scale=3.0",
        "prompts.negative=blurry",
        "generator.eta=0.5",
        "generator.scheduler=DDPMScheduler",
        "prompts.templates=['{class}, {bias}']",
    ):
        changed = rows(override)
        assert not {row["sample_id"] for row in base} & {row["sample_id"] for row in changed}, override
    same = rows("quota.surplus=0.9", "scorer.batch_size=3", "filters={}", "name=other", "runner.workers=2")
    assert [row["sample_id"] for row in same] == [row["sample_id"] for row in base]


def test_another_model_gets_other_ids_and_the_same_noise() -> None:
    base, other = rows(), rows(spec=GeneratorSpec("/other", "0" * 64, "cpu", "float32", None, 8, 5))
    assert [row["noise_seed"] for row in base] == [row["noise_seed"] for row in other]
    assert not {row["sample_id"] for row in base} & {row["sample_id"] for row in other}
    assert len({row["noise_seed"] for row in base}) == 4


def test_wordings_are_drawn_uniformly() -> None:
    overrides = ("bias.values=[{name: land, words: [grass, mud]}, {name: water, words: [a lake, the sea]}]",)
    prompts = [row["prompt"] for shard in range(50) for row in rows(*overrides, shard=shard)]
    assert 70 < sum("lake" in prompt for prompt in prompts) < 130


def test_tasks_split_at_shards_and_hash_their_ids() -> None:
    recipe = load_recipe("pocket-waterbirds", ["quota.shard_size=4"])
    plan = [row for shard in range(3) for row in planning.shard_rows(recipe, SPEC, (1, 0), shard, 0)]
    tasks = planning.tasks_of("/run", "plan/x.parquet", plan, "fingerprint")
    assert [(task.start, task.stop, len(task)) for task in tasks] == [(0, 4, 4), (4, 8, 4), (8, 12, 4)]
    assert len({task.task_hash for task in tasks}) == 3
    assert planning.tasks_of("/run", "plan/y.parquet", plan, "fingerprint")[0].stem == tasks[0].stem
    assert planning.tasks_of("/run", "plan/x.parquet", plan, "other")[0].task_hash != tasks[0].task_hash


def test_rounds_ask_for_what_is_missing_at_the_rate_seen() -> None:
    recipe = load_recipe("pocket-waterbirds", ["quota.shard_size=10", "quota.surplus=0.2"])
    assert planning.first_round(recipe, {(0, 0): 50, (0, 1): 0}) == {(0, 0): 6, (0, 1): 0}
    wanted = planning.next_round(recipe, {(0, 0): 60, (0, 1): 60}, {(0, 0): 30, (0, 1): 0}, {(0, 0): 20, (0, 1): 5})
    assert wanted == {(0, 0): 4, (0, 1): 2}


def test_ids_and_fingerprints_of_plain_samples_never_moved() -> None:
    """Negatives, phrases, personal folders and contrasts came later; samples without them keep what they had."""
    recipe = load_recipe("pocket-waterbirds")
    generator = replace(generator_spec(recipe, 2), fingerprint="0" * 64)
    scorer = replace(scorer_spec(recipe, 2), fingerprint="1" * 64, segmenter=None, objects=())
    row = shard_rows(recipe, generator, (0, 1), 0, 0)[0]
    assert (row["sample_id"], row["noise_seed"]) == ("1f0f4ec25c5154869e13bb788720ee63", 5396248567140953335)
    assert generator.stage_fingerprint.startswith("12b77995348c03b8")
    assert scorer.stage_fingerprint.startswith("3c5c82b761bb7aae")  # of score/3, which keeps embeddings
    assert (row["negatives"], row["spurious"]) == (None, None)
