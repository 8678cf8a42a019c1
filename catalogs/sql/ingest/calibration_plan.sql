-- Which real pictures are filters calibrated on?
INSERT INTO calibration_set
SELECT source_id, group_name, prompt, spurious, getvariable('head').manifest
FROM read_parquet(getvariable('head').path);
