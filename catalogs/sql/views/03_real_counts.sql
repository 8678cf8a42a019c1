-- How many real training images has each group? (the real index's train split; the sources' before there is one)
CREATE VIEW real_counts AS
WITH real AS (
    SELECT y, b FROM shard_index WHERE g = 0 AND split = 'train'
    UNION ALL
    SELECT y, b FROM sources
    WHERE split = 'train' AND NOT EXISTS (SELECT 1 FROM shard_index WHERE g = 0)
)
SELECT y, class_name, b, bias_name, group_name, coalesce(n, 0) AS n
FROM groups LEFT JOIN (SELECT y, b, count(*) AS n FROM real GROUP BY y, b) USING (y, b);
