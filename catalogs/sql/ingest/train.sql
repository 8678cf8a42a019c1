-- What was trained, on which shards, and how accurate is it per group?
INSERT INTO group_metrics
SELECT training_id, stage, split, y, class_name, b, bias_name, group_name, n, correct, accuracy, low, high,
    getvariable('head').manifest
FROM read_parquet(getvariable('head').path);

INSERT INTO training_runs
SELECT getvariable('head').task, coalesce(s ->> '$.name', s ->> '$.method'), s ->> '$.method', s ->> '$.loss',
    (s ->> '$.seed')::BIGINT, s ->> '$.settings.model', s ->> '$.selection', s, getvariable('head').manifest
FROM (SELECT getvariable('head').settings::JSON AS s);

INSERT INTO training_shards
SELECT getvariable('head').task, s.use, s.shard, s.g, s.sha256, s.samples, getvariable('head').manifest
FROM (
    SELECT unnest(from_json(getvariable('head').settings::JSON -> '$.shards',
        '[{"use": "VARCHAR", "shard": "VARCHAR", "g": "BIGINT", "sha256": "VARCHAR", "samples": "BIGINT"}]')) AS s
);
