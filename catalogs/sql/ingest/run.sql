-- Which run is this, and what was its recipe?
INSERT INTO runs
SELECT run_id, name, seed, recipe, versions, getvariable('manifest')
FROM read_parquet(getvariable('path'));
