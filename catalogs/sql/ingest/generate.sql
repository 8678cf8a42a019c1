-- Where do the generated images lie, and which samples could not be generated?
INSERT INTO generated
SELECT sample_id, run_path(shard), "offset", size, image_sha256, width, height, trajectory_variance,
    getvariable('head').manifest
FROM read_parquet(getvariable('head').path) WHERE status = 'ok';

INSERT INTO rejects
SELECT 'generate', sample_id, NULL, reason, detail, getvariable('head').manifest
FROM read_parquet(getvariable('head').path) WHERE status <> 'ok';

INSERT INTO previews
SELECT sample_id, preview_step, preview_clip_alignment, preview_judge_class, preview_judge_bias,
    coalesce(reason = 'pruned', false), getvariable('head').manifest
FROM (
    SELECT NULL::BIGINT AS preview_step, NULL::DOUBLE AS preview_clip_alignment, NULL::DOUBLE AS preview_judge_class,
        NULL::DOUBLE AS preview_judge_bias WHERE false -- manifests of earlier versions lack them
    UNION ALL BY NAME SELECT * FROM read_parquet(getvariable('head').path)
) WHERE preview_step IS NOT NULL;
