-- Which manifest is this, which shard does it publish, and who made it when? (every stage, before its own rows)
INSERT INTO ingested
SELECT getvariable('manifest'), getvariable('name'), getvariable('stage'), getvariable('task'),
    getvariable('task_hash'), getvariable('fingerprint'), getvariable('inputs')::VARCHAR[],
    getvariable('settings')::JSON, count(*), false
FROM read_parquet(getvariable('path'));

INSERT INTO shards
SELECT run_path(s.name), s.sha256, s.bytes, s.samples, getvariable('stage'), getvariable('manifest')
FROM (
    SELECT unnest(from_json(getvariable('shards'),
        '[{"name": "VARCHAR", "sha256": "VARCHAR", "bytes": "BIGINT", "samples": "BIGINT"}]')) AS s
);

INSERT INTO task_attempts
SELECT getvariable('stage'), getvariable('task'), a ->> '$.host', (a ->> '$.pid')::BIGINT,
    make_timestamp((((a ->> '$.started')::DOUBLE) * 1e6)::BIGINT), (a ->> '$.seconds')::DOUBLE,
    (a ->> '$.samples')::BIGINT, a, getvariable('manifest')
FROM (SELECT getvariable('attempt')::JSON AS a);
