"""Columns of every stage's manifest, as pyarrow schemas. ``schema.sql`` holds the catalog's tables."""

from __future__ import annotations

import pyarrow as pa

_S, _I, _F, _B = pa.string(), pa.int64(), pa.float64(), pa.bool_()
_FS, _SS = pa.list_(pa.float64()), pa.list_(pa.string())

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
    # one row per rule by which files of the dataset, or members of its tars, are neither sources nor rejects
    "ignore": _schema([("rule", _S), ("n", _I), ("example", _S)]),
    # kind ehr: one row per split and (y, s) group of a cohort with how many people it has, and one per row that was
    # left out: its number in the file, never its values
    "cohort": _schema([("dataset", _S), ("split", _S)], _GROUP, [("n", _I), ("row", _I)], _STATUS),
    # kind ehr: one row per 500 steps of a Bt-GAN's training, mean losses; settings and fingerprint are in the head
    "fit": _schema(
        [("model_id", _S), ("stage", _I), ("step", _I), ("discriminator", _F), ("generator", _F)],
        [("information", _F), ("classifier", _F)],
    ),
    # kind ehr: one row per measured number. trained_on is real, synthetic or a baseline; learner is null where none is
    # trained; group_name is null where the number is of all
    "evaluate": _schema(
        [("evaluation_id", _S), ("curation_id", _S), ("aspect", _S), ("metric", _S), ("trained_on", _S)],
        [("learner", _S), ("attribute", _S), ("group_name", _S), ("value", _F)],
        [("low", _F), ("high", _F), ("n", _I), ("note", _S)],
    ),
    # one row per source image that was described, rejects included
    "caption": _schema([("source_id", _S), ("captioner", _S), ("caption", _S)], _STATUS),
    # one row per phrase of a caption (kind: foreground, background, alternative), and per phrase or caption that
    # isn't used; raw is the model's answer to what is rejected
    "extract": _schema([("source_id", _S), ("extractor", _S), ("kind", _S), ("phrase", _S), ("raw", _S)], _STATUS),
    # one row per sample to make; negatives: JSON list of [prompt, weight] for Perp-Neg, spurious: JSON list of the
    # phrases that must not be visible; both null where there are none
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
            ("negatives", _S),
            ("spurious", _S),
        ],
    ),
    # one row per planned sample: where its image lies, or why there is none; preview_* are the scores of what it looked
    # like at preview_step, where pruning in flight judged it
    "generate": _schema(
        [("sample_id", _S)],
        _PLACE,
        [("trajectory_variance", _F)],
        _STATUS,
        [("preview_step", _I)],
        [("preview_clip_alignment", _F), ("preview_judge_class", _F), ("preview_judge_bias", _F)],
    ),
    # one row per sample and score; label is the judge's answer where the score has one
    "score": _schema([("sample_id", _S), ("score", _S), ("value", _F), ("label", _S)], _STATUS),
    # one row per generated sample and filter; the last filter is "quota"
    "decide": _schema([("curation_id", _S), ("sample_id", _S), ("filter", _S), ("keep", _B), ("reason", _S)]),
    # one row per real training picture that filters are calibrated on, drawn by hash; prompt and spurious as in "plan"
    "calibration_plan": _schema([("source_id", _S)], _GROUP, [("prompt", _S), ("spurious", _S)], _PLACE[:4]),
    # one row per such picture and score
    "real_score": _schema(
        [("source_id", _S), ("group_name", _S), ("score", _S), ("value", _F), ("label", _S)], _STATUS
    ),
    # one row per limit that a curation measured: of a filter's score, for all groups ("*") or for one; threshold is
    # null where there are too few values, low and high are the quantile's 95% interval, null beyond the values; shares
    # and limits are the curve
    "calibrate": _schema(
        [("curation_id", _S), ("filter", _S), ("score", _S), ("keeps", _S), ("calibrated_on", _S), ("group_name", _S)],
        [("retain", _F), ("n", _I), ("dropped", _I), ("threshold", _F), ("low", _F), ("high", _F)],
        [("fingerprint", _S), ("shares", _FS), ("limits", _FS), ("note", _S)],
    ),
    # one row per group of a curation: how well its kept samples and real pictures can be told apart; auc is null where
    # there are too few, which note says
    "g_detector": _schema(
        [("curation_id", _S), ("group_name", _S), ("real", _I), ("synthetic", _I)],
        [("auc", _F), ("low", _F), ("high", _F), ("note", _S)],
    ),
    # one row per curated sample: the index that trainers read (and, with g = 0, the source index)
    "index": _schema([("curation_id", _S), ("sample_id", _S), ("split", _S)], _GROUP, [("g", _I)], _PLACE),
    # one row per edit to make (ASPIRE step 4): a source picture, and the phrase of it to edit out; the source's tar
    # is named relative to the run folder, mask_phrase is what the segmenter looks for, keep_phrases are the objects
    # that a new background leaves alone
    "edit_plan": _schema(
        [("edit_id", _S), ("source_id", _S), ("y", _I), ("class_name", _S), ("task", _S)],
        [("kind", _S), ("phrase", _S), ("phrase_group", _S), ("replacement", _S), ("mask_phrase", _S)],
        [
            ("keep_phrases", _SS),
            ("editor", _S),
            ("prompt", _S),
            ("negative_prompt", _S),
            ("noise_seed", _I),
            ("steps", _I),
            ("guidance_scale", _F),
            ("eta", _F),
            ("editor_fingerprint", _S),
            ("settings", _S),
            ("source_shard", _S),
            ("source_offset", _I),
            ("source_size", _I),
            ("source_sha256", _S),
        ],
    ),
    # one row per planned edit: where its picture lies, and what share of it was masked, or why there is none
    "edit": _schema([("edit_id", _S)], _PLACE, [("mask_share", _F)], _STATUS),
    # one row per edited picture: the reference classifier and CLIP, before and after; probabilities by class number,
    # probability_* those of the true class, hit: the classifier left it; cosines with the phrase and the replacement;
    # mask_attribution: DDB's rho, by how much the change inside the mask lowers the true class's probability
    "edit_score": _schema(
        [("edit_id", _S), ("predicted_before", _I), ("predicted_after", _I), ("hit", _B)],
        [("probability_before", _F), ("probability_after", _F), ("probability_shift", _F)],
        [("probabilities_before", _FS), ("probabilities_after", _FS)],
        [("phrase_before", _F), ("phrase_after", _F), ("replacement_before", _F), ("replacement_after", _F)],
        [("mask_attribution", _F)],
        _STATUS,
    ),
    # one row per class and ranked phrase (ASPIRE step 5); the rule and its thresholds are in the manifest's head
    "rank": _schema(
        [("y", _I), ("class_name", _S), ("phrase", _S), ("kind", _S), ("rank", _I), ("spurious", _B)],
        [("score", _F), ("aspire_score", _F), ("occurrences", _I), ("edits", _I), ("successes", _I), ("hits", _I)],
        [("rate", _F), ("low", _F), ("high", _F), ("excess_low", _F), ("mean_shift", _F)],
        [("lift", _F), ("lift_low", _F), ("lift_high", _F), ("bits", _F)],
    ),
    # one row per captioned real image of train and val: does its class's top spurious phrase hold of it? phrase is null
    # where the class has none; group_name is "<class>|<phrase>" or "<class>|no <phrase>"
    "groups": _schema(
        [("source_id", _S), ("split", _S), ("y", _I), ("class_name", _S)],
        [("phrase", _S), ("present", _B), ("group_name", _S)],
    ),
    # one row per ranked phrase: how many real training images and kept samples hold it, and its bits of information on
    # the class in the real ones alone and in both
    "audit": _schema(
        [("curation_id", _S), ("phrase", _S), ("real", _I), ("real_holding", _I)],
        [("synthetic", _I), ("synthetic_holding", _I), ("bits_before", _F), ("bits_after", _F)],
    ),
    # one row per picture that a concept was taught with (ASPIRE step 6); the settings are in the manifest's head
    "personalise": _schema(
        [("personal_id", _S), ("concept", _S), ("token", _S), ("position", _I), ("sample_id", _S), ("image_sha256", _S)]
    ),
    # one row per (split, group) of a training run; settings and shards are in the manifest's head
    "train": _schema(
        [("training_id", _S), ("stage", _S), ("split", _S)],
        _GROUP,
        [("n", _I), ("correct", _I), ("accuracy", _F), ("low", _F), ("high", _F)],
    ),
}
