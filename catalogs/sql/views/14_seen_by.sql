-- Which trainings used the shard that a sample lies in, in which role, and how many of its samples?
-- `used` = `shard_samples` means that the training saw the sample for certain; fewer, that it may have.
CREATE VIEW seen_by AS
WITH sizes AS (SELECT shard, split, g, count(*) AS shard_samples FROM shard_index GROUP BY shard, split, g)
SELECT sample_id, training_id, method, loss, seed, use, shard, sha256, training_shards.samples AS used, shard_samples
FROM shard_index
JOIN training_shards USING (shard, g)
JOIN sizes USING (shard, split, g)
JOIN training_runs USING (training_id)
WHERE g = 1 OR split = CASE WHEN use IN ('val', 'test') THEN use ELSE 'train' END;
