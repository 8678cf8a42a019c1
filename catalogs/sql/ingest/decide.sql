-- What did each filter of a curation decide on each sample?
INSERT INTO decisions
SELECT curation_id, sample_id, filter, keep, reason, getvariable('manifest')
FROM read_parquet(getvariable('path'));

INSERT INTO curations
SELECT DISTINCT curation_id, getvariable('settings')::JSON, getvariable('manifest')
FROM read_parquet(getvariable('path'));
