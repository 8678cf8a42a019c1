-- Which group is each training's worst, at which accuracy, and what are the averages beside it?
-- The worst group has the lowest accuracy; it isn't the smallest. `average` is plain over the split,
-- `adjusted_average` weights groups by their share of the real training set, `balanced` is the mean over groups.
CREATE VIEW worst_group AS
WITH training_counts AS (
    SELECT ingested.manifest, shard_index.y, shard_index.b, count(*) AS n
    FROM ingested JOIN shard_index ON list_contains(ingested.inputs, shard_index.manifest)
    WHERE ingested.stage = 'train' AND g = 0 AND split = 'train'
    GROUP BY ingested.manifest, shard_index.y, shard_index.b
),
weighted AS (
    SELECT group_metrics.*, training_counts.n AS weight
    FROM group_metrics LEFT JOIN training_counts USING (manifest, y, b)
    WHERE group_metrics.n > 0
),
whole AS (
    SELECT training_id, manifest, stage, split, arg_min(group_name, (accuracy, y, b)) AS group_name,
        min(n) AS smallest_n, sum(correct) / sum(n) AS average,
        CASE WHEN count(weight) = (SELECT count(*) FROM training_counts AS t WHERE t.manifest = weighted.manifest)
            THEN sum(accuracy * weight) / sum(weight) END AS adjusted_average,
        avg(accuracy) AS balanced
    FROM weighted GROUP BY training_id, manifest, stage, split
)
SELECT training_id, method, loss, seed, stage, split, group_name, m.accuracy, m.low, m.high, m.n, smallest_n,
    average, adjusted_average, balanced
FROM whole
JOIN group_metrics AS m USING (training_id, manifest, stage, split, group_name)
LEFT JOIN training_runs USING (training_id, manifest);
