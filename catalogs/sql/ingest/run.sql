-- Which run is this, and what was its recipe?
INSERT INTO runs
SELECT run_id, name, seed, recipe, versions, getvariable('head').manifest
FROM read_parquet(getvariable('head').path);
