"""Columns of every stage's manifest, as pyarrow schemas. ``schema.sql`` holds the catalog's tables."""

from __future__ import annotations

import pyarrow as pa

_S, _I, _F, _B = pa.string(), pa.int64(), pa.float64(), pa.bool_()

# Who a sample is: class y, bias attribute b, and their names; group_name is "<class>|<bias>".
_GROUP = [("y", _I), ("class_name", _S), ("b", _I), ("bias_name", _S), ("group_name", _S)]
# Where a sample's image lies: the tar beside the manifest, and the image's bytes inside it.
_PLACE = [("shard", _S), ("offset", _I), ("size", _I), ("image_sha256", _S), ("width", _I), ("height", _I)]
# status is "ok" or "reject"; a reject carries a reason (a short code) and a detail (a sentence).
_STATUS = [("status", _S), ("reason", _S), ("detail", _S)]


def _schema(*parts: list[tuple[str, pa.DataType]]) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for part in parts for name, kind in part])


SCHEMAS: dict[str, pa.Schema] = {
    # one row: the run and its resolved recipe
    "run": _schema([("run_id", _S), ("name", _S), ("seed", _I), ("recipe", _S), ("versions", _S)]),
    # one row per source image, rejects included
    "source": _schema(
        [("source_id", _S), ("dataset", _S), ("split", _S), ("key", _S)],
        _GROUP,
        _PLACE,
        [("caption", _S), ("metadata", _S)],
        _STATUS,
    ),
    # one row per source image that was described, rejects included
    "caption": _schema([("source_id", _S), ("captioner", _S), ("caption", _S)], _STATUS),
    # one row per phrase of a caption (kind: foreground, background, alternative), and per phrase or caption that
    # isn't used; raw is the model's answer to what is rejected
    "extract": _schema(
        [("source_id", _S), ("extractor", _S), ("kind", _S), ("phrase", _S), ("raw", _S)], _STATUS
    ),
    # one row per sample to make
    "plan": _schema(
        [("sample_id", _S), ("noise_seed", _I), ("kind", _S), ("round", _I), ("task", _S), ("replicate", _I)],
        _GROUP,
        [
            ("prompt", _S),
            ("negative_prompt", _S),
            ("guidance_scale", _F),
            ("steps", _I),
            ("height", _I),
            ("width", _I),
            ("eta", _F),
            ("generator", _S),
            ("generator_fingerprint", _S),
            ("settings", _S),
        ],
    ),
    # one row per planned sample: where its image lies, or why there is none
    "generate": _schema([("sample_id", _S)], _PLACE, [("trajectory_variance", _F)], _STATUS),
    # one row per sample and score; label is the judge's answer where the score has one
    "score": _schema([("sample_id", _S), ("score", _S), ("value", _F), ("label", _S)], _STATUS),
    # one row per generated sample and filter; the last filter is "quota"
    "decide": _schema([("curation_id", _S), ("sample_id", _S), ("filter", _S), ("keep", _B), ("reason", _S)]),
    # one row per curated sample: the index that trainers read (and, with g = 0, the source index)
    "index": _schema(
        [("curation_id", _S), ("sample_id", _S), ("split", _S)],
        _GROUP,
        [("g", _I)],
        _PLACE,
    ),
    # one row per (split, group) of a training run; settings and shards are in the manifest's head
    "train": _schema(
        [("training_id", _S), ("stage", _S), ("split", _S)],
        _GROUP,
        [("n", _I), ("correct", _I), ("accuracy", _F), ("low", _F), ("high", _F)],
    ),
}
