-- What did each filter of a curation decide on each sample?
INSERT INTO decisions
SELECT curation_id, sample_id, filter, keep, reason, getvariable('head').manifest
FROM read_parquet(getvariable('head').path);

INSERT INTO curations
SELECT DISTINCT curation_id, getvariable('head').settings::JSON, getvariable('head').manifest
FROM read_parquet(getvariable('head').path);
