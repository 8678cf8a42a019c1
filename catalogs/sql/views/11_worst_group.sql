-- Which group is each training's worst, at which accuracy, and what are the averages beside it?
-- The worst group has the lowest accuracy; it isn't the smallest. `average` is plain over the split,
-- `adjusted_average` weights groups by their share of the real training set, `balanced` is the mean over groups.
CREATE VIEW worst_group AS
WITH read_by AS (SELECT manifest, unnest(inputs) AS input FROM ingested WHERE stage = 'train'),
real AS (
    SELECT manifest AS input, y, b, count(*) AS n FROM shard_index WHERE g = 0 AND split = 'train'
    GROUP BY manifest, y, b
),
training_counts AS (SELECT manifest, y, b, n FROM read_by JOIN real USING (input)),
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
SELECT training_id, name, method, loss, seed, stage, split, group_name, m.accuracy, m.low, m.high, m.n, smallest_n,
    average, adjusted_average, balanced
FROM whole
JOIN group_metrics AS m USING (training_id, manifest, stage, split, group_name)
LEFT JOIN training_runs USING (training_id, manifest);
