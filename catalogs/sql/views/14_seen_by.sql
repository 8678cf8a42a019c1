-- Which trainings used the shard that a sample lies in, in which role, and how many of its samples?
-- `used` = `shard_samples` means that the training saw the sample for certain; fewer, that it may have.
CREATE VIEW seen_by AS
WITH places AS (
    SELECT sample_id, split, g, shard, count(*) OVER (PARTITION BY shard, split, g) AS shard_samples FROM shard_index
)
SELECT sample_id, training_id, method, loss, seed, use, places.shard, training_shards.sha256,
    training_shards.samples AS used, shard_samples
FROM places
JOIN training_shards ON training_shards.shard = places.shard AND training_shards.g = places.g
    AND (places.g = 1 OR places.split = CASE WHEN use IN ('val', 'test') THEN use ELSE 'train' END)
JOIN training_runs USING (training_id);
