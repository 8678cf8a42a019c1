-- Which tars does this manifest publish? (every stage that publishes any; a tar of another folder isn't its own)
INSERT INTO shards
SELECT run_path(shard.name), shard.sha256, shard.bytes, shard.samples, getvariable('head').stage,
    getvariable('head').manifest
FROM (SELECT unnest(getvariable('head').shards) AS shard)
WHERE NOT starts_with(shard.name, '../');
