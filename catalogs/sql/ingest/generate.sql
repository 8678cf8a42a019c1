-- Where do the generated images lie, and which samples could not be generated?
INSERT INTO generated
SELECT sample_id, run_path(shard), "offset", size, image_sha256, width, height, trajectory_variance,
    getvariable('head').manifest
FROM read_parquet(getvariable('head').path) WHERE status = 'ok';

INSERT INTO rejects
SELECT 'generate', sample_id, NULL, reason, detail, getvariable('head').manifest
FROM read_parquet(getvariable('head').path) WHERE status <> 'ok';
