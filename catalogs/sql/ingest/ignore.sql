-- What of the dataset was left out, by which rule?
INSERT INTO ignored
SELECT rule, n, example, getvariable('head').manifest FROM read_parquet(getvariable('head').path) ORDER BY rule;
