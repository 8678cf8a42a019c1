-- Which phrases does each caption have, and what did the extractor say that isn't used? (a reject's key is the kind)
INSERT INTO phrases
SELECT source_id, extractor, kind, phrase, getvariable('head').manifest
FROM read_parquet(getvariable('head').path) WHERE status = 'ok';

INSERT INTO rejects
SELECT 'extract', source_id, kind, reason, concat_ws(' | answer: ', detail, raw), getvariable('head').manifest
FROM read_parquet(getvariable('head').path) WHERE status <> 'ok';
