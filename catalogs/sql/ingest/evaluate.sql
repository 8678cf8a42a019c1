-- What did the evaluation of a curation measure?
INSERT INTO evaluations
SELECT evaluation_id, curation_id, aspect, metric, trained_on, learner, attribute, group_name, value, low, high, n, note,
    getvariable('head').manifest
FROM read_parquet(getvariable('head').path);
