-- How many real images has each split?
SELECT split, count(*) AS n FROM (
    SELECT split FROM shard_index WHERE g = 0
    UNION ALL
    SELECT split FROM sources WHERE NOT EXISTS (SELECT 1 FROM shard_index WHERE g = 0)
)
GROUP BY split ORDER BY list_position(['train', 'val', 'test'], split), split;
