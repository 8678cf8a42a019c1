-- Where do the edited pictures lie, and which edits could not be made?
INSERT INTO edits
SELECT edit_id, run_path(shard), "offset", size, image_sha256, width, height, mask_share, getvariable('head').manifest
FROM read_parquet(getvariable('head').path) WHERE status = 'ok';

INSERT INTO rejects
SELECT 'edit', edit_id, NULL, reason, detail, getvariable('head').manifest
FROM read_parquet(getvariable('head').path) WHERE status <> 'ok';
