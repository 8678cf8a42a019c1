-- What does a run's catalog hold? Every row names, in `manifest`, the content hash of the manifest it came from.

-- One row: which version of these SQL files made the catalog. The only row that no manifest made.
CREATE TABLE catalog_info (schema_version VARCHAR NOT NULL);

-- One row per manifest whose rows are here. `checked` turns true when its ids were found to be unique.
CREATE TABLE ingested (
    manifest VARCHAR NOT NULL, path VARCHAR NOT NULL, stage VARCHAR NOT NULL, task VARCHAR, task_hash VARCHAR,
    fingerprint VARCHAR, inputs VARCHAR[], settings JSON, row_count BIGINT, checked BOOLEAN NOT NULL
);

CREATE TABLE runs (
    run_id VARCHAR, name VARCHAR, seed BIGINT, recipe VARCHAR, versions VARCHAR, manifest VARCHAR NOT NULL
);

-- One row per readable source image; g is 0, real. Shard paths are relative to the run folder, here and below.
CREATE TABLE sources (
    source_id VARCHAR, dataset VARCHAR, split VARCHAR, key VARCHAR,
    y BIGINT, class_name VARCHAR, b BIGINT, bias_name VARCHAR, group_name VARCHAR, g BIGINT,
    shard VARCHAR, "offset" BIGINT, size BIGINT, image_sha256 VARCHAR, width BIGINT, height BIGINT,
    caption VARCHAR, metadata VARCHAR, manifest VARCHAR NOT NULL
);

-- What of a dataset is neither a source nor a reject, by the rule that leaves it out; example is the first of them.
CREATE TABLE ignored (rule VARCHAR, n BIGINT, example VARCHAR, manifest VARCHAR NOT NULL);

-- Kind ehr: how many people of a cohort each split has, by label y and protected attribute (b). No row of theirs is here.
CREATE TABLE cohort_groups (
    dataset VARCHAR, split VARCHAR, y BIGINT, class_name VARCHAR, b BIGINT, bias_name VARCHAR, group_name VARCHAR,
    n BIGINT, manifest VARCHAR NOT NULL
);

-- Kind ehr: the models of rows that were trained, with the (y, s) shares that they are asked for, and the columns that
-- the constraint's classifier doesn't see, with the share of the protected attribute's entropy that each tells.
CREATE TABLE row_models (
    model_id VARCHAR, attribute VARCHAR, "constraint" VARCHAR, lam DOUBLE, seed BIGINT, fingerprint VARCHAR,
    joint DOUBLE[][], proxies JSON, settings JSON, manifest VARCHAR NOT NULL
);

-- Their log: mean losses over the steps up to `step`; information is I(Yhat; S) or I(Yhat; S | Y) in nats.
CREATE TABLE row_model_log (
    model_id VARCHAR, stage BIGINT, step BIGINT, discriminator DOUBLE, generator DOUBLE, information DOUBLE,
    classifier DOUBLE, manifest VARCHAR NOT NULL
);

-- Kind ehr: what the evaluation of a curation measured. aspect is utility, fairness, fidelity, privacy or importance;
-- [low, high] is a 95% interval where there is one.
CREATE TABLE evaluations (
    evaluation_id VARCHAR, curation_id VARCHAR, aspect VARCHAR, metric VARCHAR, trained_on VARCHAR, learner VARCHAR,
    attribute VARCHAR, group_name VARCHAR, value DOUBLE, low DOUBLE, high DOUBLE, n BIGINT, note VARCHAR,
    manifest VARCHAR NOT NULL
);

-- What a captioner said of a source image (ASPIRE step 1); detail says that the caption was cut, where it was.
CREATE TABLE captions (
    source_id VARCHAR, captioner VARCHAR, caption VARCHAR, detail VARCHAR, manifest VARCHAR NOT NULL
);

-- Phrases of a caption (ASPIRE step 2). kind is foreground, background (in the caption's words, one at most), or
-- alternative: what the background could be instead, in the extractor's words.
CREATE TABLE phrases (
    source_id VARCHAR, extractor VARCHAR, kind VARCHAR, phrase VARCHAR, manifest VARCHAR NOT NULL
);

-- One row per edit to make: a source image, and the phrase of it to edit out or replace (ASPIRE step 4). keep_phrases are
-- the objects that a new background leaves alone, so that its hits are its own.
CREATE TABLE edit_plan (
    edit_id VARCHAR, source_id VARCHAR, y BIGINT, class_name VARCHAR, task VARCHAR, kind VARCHAR, phrase VARCHAR,
    phrase_group VARCHAR, replacement VARCHAR, mask_phrase VARCHAR, keep_phrases VARCHAR[],
    editor VARCHAR, prompt VARCHAR, negative_prompt VARCHAR, noise_seed BIGINT, steps BIGINT, guidance_scale DOUBLE, eta DOUBLE,
    editor_fingerprint VARCHAR, settings JSON, manifest VARCHAR NOT NULL
);

-- One row per edit that was made: where its picture lies, and what share of the picture was masked.
CREATE TABLE edits (
    edit_id VARCHAR, shard VARCHAR, "offset" BIGINT, size BIGINT, image_sha256 VARCHAR, width BIGINT, height BIGINT,
    mask_share DOUBLE, manifest VARCHAR NOT NULL
);

-- One row per edited picture: did the reference classifier leave the true class (hit), and did the edit succeed?
-- probability_* are the true class's, phrase_* and replacement_* CLIP's cosines with the picture. mask_attribution is DDB's
-- rho: by how much the change inside the mask lowers the true class's probability; NULL where it wasn't measured yet.
CREATE TABLE edit_scores (
    edit_id VARCHAR, predicted_before BIGINT, predicted_after BIGINT, hit BOOLEAN,
    probability_before DOUBLE, probability_after DOUBLE, probability_shift DOUBLE,
    probabilities_before DOUBLE[], probabilities_after DOUBLE[],
    phrase_before DOUBLE, phrase_after DOUBLE, replacement_before DOUBLE, replacement_after DOUBLE,
    mask_attribution DOUBLE, manifest VARCHAR NOT NULL
);

-- Phrases of a class ranked by how often editing them out changes the prediction (ASPIRE step 5).
-- rate is hits / successes with its 95% interval [low, high], excess_low the least by which it exceeds the hit rate of
-- the class's innocent phrases; `spurious` is the rule's answer.
CREATE TABLE spurious_features (
    y BIGINT, class_name VARCHAR, phrase VARCHAR, kind VARCHAR, rank BIGINT, spurious BOOLEAN, score DOUBLE,
    aspire_score DOUBLE, occurrences BIGINT, edits BIGINT, successes BIGINT, hits BIGINT,
    rate DOUBLE, low DOUBLE, high DOUBLE, excess_low DOUBLE, mean_shift DOUBLE,
    lift DOUBLE, lift_low DOUBLE, lift_high DOUBLE, bits DOUBLE,
    manifest VARCHAR NOT NULL
);

-- One row per captioned real image of train and val: its class with or without the class's top spurious phrase, which is
-- NULL where discovery found none. ASPIRE+DFR balances these groups in place of labelled ones.
CREATE TABLE discovered_groups (
    source_id VARCHAR, split VARCHAR, y BIGINT, class_name VARCHAR, phrase VARCHAR, present BOOLEAN,
    group_name VARCHAR, manifest VARCHAR NOT NULL
);

-- The audit of a curation: of every ranked phrase the real training images and kept samples that hold it, and
-- I(phrase; class) in bits over the real ones alone and over both.
CREATE TABLE phrase_bits (
    curation_id VARCHAR, phrase VARCHAR, "real" BIGINT, real_holding BIGINT, synthetic BIGINT, synthetic_holding BIGINT,
    bits_before DOUBLE, bits_after DOUBLE, manifest VARCHAR NOT NULL
);

-- One row per concept that a text-to-image model was taught (ASPIRE step 6): prompts say it by its token.
-- loss_first and loss_last are mean losses over the first and the last tenth of the steps.
CREATE TABLE personalisations (
    personal_id VARCHAR, concept VARCHAR, token VARCHAR, class_word VARCHAR, method VARCHAR, seed BIGINT, steps BIGINT,
    pictures BIGINT, loss_first DOUBLE, loss_last DOUBLE, weights_sha256 VARCHAR, model_fingerprint VARCHAR,
    settings JSON, manifest VARCHAR NOT NULL
);

-- Which pictures a concept was taught with; sample_id is a source's, an edit's or a sample's id.
CREATE TABLE personal_pictures (
    personal_id VARCHAR, concept VARCHAR, token VARCHAR, position BIGINT, sample_id VARCHAR, image_sha256 VARCHAR,
    manifest VARCHAR NOT NULL
);

-- Limits that a curation measured for its filters: each keeps the share `retain` of a calibration set, of all groups ("*")
-- or of one. calibrated_on is real (training pictures) or samples (those that passed the filters before). threshold is
-- NULL where there were too few values, which `note` says; [low, high] is the quantile's 95% interval. fingerprint stands
-- for the models and the sampler that the limit holds for.
CREATE TABLE calibrations (
    curation_id VARCHAR, filter VARCHAR, score VARCHAR, keeps VARCHAR, calibrated_on VARCHAR, group_name VARCHAR,
    retain DOUBLE, n BIGINT, dropped BIGINT, threshold DOUBLE, low DOUBLE, high DOUBLE, fingerprint VARCHAR, note VARCHAR,
    manifest VARCHAR NOT NULL
);

-- The curve behind a calibration: the limit that would retain each share.
CREATE TABLE calibration_curves (
    curation_id VARCHAR, filter VARCHAR, score VARCHAR, group_name VARCHAR, share DOUBLE, threshold DOUBLE,
    manifest VARCHAR NOT NULL
);

-- The G-detector of a curation: the AUC with which a linear probe on CLIP embeddings tells a group's kept samples from its
-- real pictures, 0.5 where it can't; NULL with a note where there were too few.
CREATE TABLE g_detector (
    curation_id VARCHAR, group_name VARCHAR, "real" BIGINT, synthetic BIGINT, auc DOUBLE, low DOUBLE, high DOUBLE,
    note VARCHAR, manifest VARCHAR NOT NULL
);

-- The real training pictures that filters are calibrated on, with the prompts that samples of their groups get.
CREATE TABLE calibration_set (
    source_id VARCHAR, group_name VARCHAR, prompt VARCHAR, spurious JSON, manifest VARCHAR NOT NULL
);

-- What the scorers measured of these pictures.
CREATE TABLE real_scores (
    source_id VARCHAR, group_name VARCHAR, score VARCHAR, value DOUBLE, label VARCHAR, manifest VARCHAR NOT NULL
);

-- One row per sample to make.
CREATE TABLE plan (
    sample_id VARCHAR, noise_seed BIGINT, kind VARCHAR, round BIGINT, task VARCHAR, replicate BIGINT,
    y BIGINT, class_name VARCHAR, b BIGINT, bias_name VARCHAR, group_name VARCHAR,
    prompt VARCHAR, negative_prompt VARCHAR, guidance_scale DOUBLE, steps BIGINT, height BIGINT, width BIGINT,
    eta DOUBLE, generator VARCHAR, generator_fingerprint VARCHAR, settings JSON, negatives JSON, spurious JSON,
    manifest VARCHAR NOT NULL
);

-- One row per sample that was generated: where its image lies. A row of health records (kind ehr) lies in a Parquet shard:
-- offset is its number there, size 1, and image_sha256 its own checksum. The view `samples` joins it with the plan.
CREATE TABLE generated (
    sample_id VARCHAR, shard VARCHAR, "offset" BIGINT, size BIGINT, image_sha256 VARCHAR, width BIGINT,
    height BIGINT, trajectory_variance DOUBLE, manifest VARCHAR NOT NULL
);

-- What a sample looked like at a step of its generation, where pruning in flight judged it; `pruned` ones weren't finished.
CREATE TABLE previews (
    sample_id VARCHAR, step BIGINT, clip_alignment DOUBLE, judge_class DOUBLE, judge_bias DOUBLE, pruned BOOLEAN,
    manifest VARCHAR NOT NULL
);

CREATE TABLE scores (
    sample_id VARCHAR, score VARCHAR, value DOUBLE, label VARCHAR, manifest VARCHAR NOT NULL
);

-- One row per curation, sample and filter that looked at it; "generated" is the first, "quota" the last.
CREATE TABLE decisions (
    curation_id VARCHAR, sample_id VARCHAR, filter VARCHAR, keep BOOLEAN, reason VARCHAR, manifest VARCHAR NOT NULL
);

-- One row per curation, with its settings (filters, thresholds, quota).
CREATE TABLE curations (curation_id VARCHAR, settings JSON, manifest VARCHAR NOT NULL);

-- One row per sample that trainers can read: curated ones (g = 1), real ones (g = 0); `position` is the index's order.
CREATE TABLE shard_index (
    curation_id VARCHAR, sample_id VARCHAR, split VARCHAR,
    y BIGINT, class_name VARCHAR, b BIGINT, bias_name VARCHAR, group_name VARCHAR, g BIGINT,
    shard VARCHAR, "offset" BIGINT, size BIGINT, image_sha256 VARCHAR, width BIGINT, height BIGINT,
    position BIGINT, manifest VARCHAR NOT NULL
);

-- One row per tar. sha256 and bytes are NULL where only an index names the tar.
CREATE TABLE shards (
    path VARCHAR, sha256 VARCHAR, bytes BIGINT, samples BIGINT, stage VARCHAR, manifest VARCHAR NOT NULL
);

-- What couldn't be read, generated or scored; id is a source or sample id, key the dataset's key or the score's name.
CREATE TABLE rejects (
    stage VARCHAR, id VARCHAR, key VARCHAR, reason VARCHAR, detail VARCHAR, manifest VARCHAR NOT NULL
);

-- `name` is the method's as tables show it; it says so where ASPIRE+DFR used true groups.
CREATE TABLE training_runs (
    training_id VARCHAR, name VARCHAR, method VARCHAR, loss VARCHAR, seed BIGINT, model VARCHAR, selection VARCHAR,
    settings JSON, manifest VARCHAR NOT NULL
);

-- Which shards a training used, and how many samples of each; `use` is a stage ("train", "stage1",
-- "stage2", "last layer"), a split of the real index ("val", "test"), or "synthetic validation".
CREATE TABLE training_shards (
    training_id VARCHAR, use VARCHAR, shard VARCHAR, g BIGINT, sha256 VARCHAR, samples BIGINT, manifest VARCHAR NOT NULL
);

-- Accuracy per (class, bias) group of a split with its 95% interval [low, high]; stage is "final", or FFR's "stage1".
CREATE TABLE group_metrics (
    training_id VARCHAR, stage VARCHAR, split VARCHAR,
    y BIGINT, class_name VARCHAR, b BIGINT, bias_name VARCHAR, group_name VARCHAR,
    n BIGINT, correct BIGINT, accuracy DOUBLE, low DOUBLE, high DOUBLE, manifest VARCHAR NOT NULL
);

-- Hosts and seconds of the attempts that committed: outside the promise that a rebuild gives equal rows.
CREATE TABLE task_attempts (
    stage VARCHAR, task VARCHAR, host VARCHAR, pid BIGINT, started TIMESTAMP, seconds DOUBLE, samples BIGINT,
    details JSON, manifest VARCHAR NOT NULL
);

-- The path from the run folder of a tar that a manifest names from its own folder.
CREATE MACRO run_path(shard) AS CASE
    WHEN shard LIKE '/%' OR shard LIKE '%://%' OR getvariable('head').folder = '' THEN shard
    ELSE regexp_replace(getvariable('head').folder || '/' || shard, '[^/]+/\.\./', '')
END;
