"""Identity: canonical JSON, sample ids, noise seeds and task hashes."""

from __future__ import annotations

import math

import pytest

from fairshards.catalogs.manifests.identity import canonical_json, digest, noise_seed, sample_id, task_hash

WHAT = {"prompt": "a bird", "seed": 1, "group": "landbird|land", "sampler": {"steps": 4}}


def test_canonical_json_has_one_text_per_value() -> None:
    assert canonical_json({"b": [1, 2.5], "a": "é"}) == '{"a":"é","b":[1,2.5]}'
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError):
            canonical_json({"a": bad})


def test_a_sample_id_is_32_hex_digits_and_covers_everything() -> None:
    one = sample_id(WHAT, "model")
    assert len(one) == 32 and set(one) <= set("0123456789abcdef")
    others = [sample_id({**WHAT, name: "other"}, "model") for name in WHAT] + [sample_id(WHAT, "other model")]
    assert len({one, *others}) == len(WHAT) + 2


def test_the_noise_doesnt_depend_on_the_model() -> None:
    assert 0 <= noise_seed(WHAT) < 2**63
    assert noise_seed(WHAT) == noise_seed(dict(reversed(WHAT.items())))
    assert noise_seed(WHAT) != noise_seed({**WHAT, "seed": 2})


def test_a_task_hash_covers_stage_fingerprint_samples_inputs_and_settings() -> None:
    base = task_hash("generate", "f", ["a", "b"], ["i"], {"s": 1})
    others = [
        task_hash("score", "f", ["a", "b"], ["i"], {"s": 1}),
        task_hash("generate", "g", ["a", "b"], ["i"], {"s": 1}),
        task_hash("generate", "f", ["b", "a"], ["i"], {"s": 1}),
        task_hash("generate", "f", ["a", "b"], [], {"s": 1}),
        task_hash("generate", "f", ["a", "b"], ["i"], {"s": 2}),
    ]
    assert len({base, *others}) == 6
