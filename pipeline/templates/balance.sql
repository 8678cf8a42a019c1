-- How many real, generated, passed and kept samples has each group in a curation (parameter curation, or none)?
WITH kept_in AS (
    SELECT y, b, count(*) FILTER (WHERE split IS DISTINCT FROM 'extra') AS balanced,
        count(*) FILTER (WHERE split = 'extra') AS extra
    FROM shard_index WHERE g = 1 AND split IS DISTINCT FROM 'validation' AND curation_id = $curation::VARCHAR
    GROUP BY y, b
)
SELECT y, b, group_name, real_train AS real, planned, generated, accepted AS passed,
    coalesce(balanced, 0) AS balanced, coalesce(extra, 0) AS extra
FROM group_balance LEFT JOIN kept_in USING (y, b)
WHERE curation_id IS NOT DISTINCT FROM $curation::VARCHAR OR NOT EXISTS (SELECT 1 FROM curations)
ORDER BY y, b;
