-- What did the scorers measure, and what could they not score?
INSERT INTO scores
SELECT sample_id, score, value, label, getvariable('head').manifest
FROM read_parquet(getvariable('head').path) WHERE status = 'ok';

INSERT INTO rejects
SELECT 'score', sample_id, score, reason, detail, getvariable('head').manifest
FROM read_parquet(getvariable('head').path) WHERE status <> 'ok';
