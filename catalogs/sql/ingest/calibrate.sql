-- Which limits did a curation measure for its filters, and how would they lie for other shares?
INSERT INTO calibrations
SELECT curation_id, filter, score, keeps, calibrated_on, group_name, retain, n, dropped, threshold, low, high, fingerprint,
    note, getvariable('head').manifest
FROM read_parquet(getvariable('head').path);

INSERT INTO calibration_curves
SELECT curation_id, filter, score, group_name, unnest(shares), unnest(limits), getvariable('head').manifest
FROM read_parquet(getvariable('head').path);
