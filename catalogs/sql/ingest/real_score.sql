-- What did the scorers measure of real pictures, and what could they not score?
INSERT INTO real_scores
SELECT source_id, group_name, score, value, label, getvariable('head').manifest
FROM read_parquet(getvariable('head').path) WHERE status = 'ok';

INSERT INTO rejects
SELECT 'real_score', source_id, score, reason, detail, getvariable('head').manifest
FROM read_parquet(getvariable('head').path) WHERE status <> 'ok';
