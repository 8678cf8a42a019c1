-- Which samples can trainers read, where do they lie, and in which tars?
INSERT INTO shard_index
SELECT curation_id, sample_id, split, y, class_name, b, bias_name, group_name, g, run_path(shard), "offset", size,
    image_sha256, width, height, file_row_number, getvariable('head').manifest
FROM read_parquet(getvariable('head').path, file_row_number = true);

INSERT INTO shards
SELECT run_path(shard) AS path, NULL, NULL, count(*), getvariable('head').stage, getvariable('head').manifest
FROM read_parquet(getvariable('head').path)
WHERE g = 1
GROUP BY path
HAVING path NOT IN (SELECT path FROM shards WHERE manifest = getvariable('head').manifest)
ORDER BY path;
