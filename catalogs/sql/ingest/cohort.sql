-- How many people has each group of a cohort, and which rows were left out?
INSERT INTO cohort_groups
SELECT dataset, split, y, class_name, b, bias_name, group_name, n, getvariable('head').manifest
FROM read_parquet(getvariable('head').path) WHERE status = 'ok';

INSERT INTO rejects
SELECT 'cohort', format('{}-row-{}', dataset, "row"), "row"::VARCHAR, reason, detail, getvariable('head').manifest
FROM read_parquet(getvariable('head').path) WHERE status <> 'ok';
