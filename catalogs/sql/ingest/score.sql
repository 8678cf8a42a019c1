-- What did the scorers measure, and what could they not score?
INSERT INTO scores
SELECT sample_id, score, value, label, getvariable('manifest')
FROM read_parquet(getvariable('path')) WHERE status = 'ok';

INSERT INTO rejects
SELECT 'score', sample_id, score, reason, detail, getvariable('manifest')
FROM read_parquet(getvariable('path')) WHERE status <> 'ok';
