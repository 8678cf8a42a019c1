-- Which manifest is this, and who made it when? (every stage, before its own rows)
INSERT INTO ingested
SELECT h.manifest, h.name, h.stage, h.task, h.task_hash, h.fingerprint, h.inputs::VARCHAR[], h.settings::JSON,
    (SELECT count(*) FROM read_parquet(getvariable('head').path)), false
FROM (SELECT getvariable('head') AS h);

INSERT INTO task_attempts
SELECT h.stage, h.task, h.attempt.host, h.attempt.pid, make_timestamp((h.attempt.started * 1e6)::BIGINT),
    h.attempt.seconds, h.attempt.samples, h.attempt.details::JSON, h.manifest
FROM (SELECT getvariable('head') AS h);
