-- What was said of each source image, and which could not be described?
INSERT INTO captions
SELECT source_id, captioner, caption, detail, getvariable('head').manifest
FROM read_parquet(getvariable('head').path) WHERE status = 'ok';

INSERT INTO rejects
SELECT 'caption', source_id, captioner, reason, detail, getvariable('head').manifest
FROM read_parquet(getvariable('head').path) WHERE status <> 'ok';
