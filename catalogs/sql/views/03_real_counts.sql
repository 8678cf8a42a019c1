-- How many real training samples has each group? (the real index's train split; the sources' before there is one; a cohort's)
CREATE VIEW real_counts AS
WITH real AS (
    SELECT y, b, 1 AS n FROM shard_index WHERE g = 0 AND split = 'train'
    UNION ALL
    SELECT y, b, 1 FROM sources
    WHERE split = 'train' AND NOT EXISTS (SELECT 1 FROM shard_index WHERE g = 0)
    UNION ALL
    SELECT y, b, n FROM cohort_groups WHERE split = 'train'
)
SELECT y, class_name, b, bias_name, group_name, coalesce(n, 0)::BIGINT AS n
FROM groups LEFT JOIN (SELECT y, b, sum(n) AS n FROM real GROUP BY y, b) USING (y, b);
