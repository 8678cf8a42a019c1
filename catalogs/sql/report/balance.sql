-- How many real, generated, passed and kept samples has each group in a curation (parameter curation, or none)?
WITH kept_in AS (
    SELECT y, b, count(*) FILTER (WHERE split IS NULL OR split NOT IN ('extra', 'validation')) AS balanced,
        count(*) FILTER (WHERE split = 'extra') AS extra, count(*) FILTER (WHERE split = 'validation') AS validation
    FROM shard_index WHERE g = 1 AND curation_id = $curation::VARCHAR
    GROUP BY y, b
)
SELECT y, b, group_name, real_train AS real, planned, generated, accepted AS passed,
    coalesce(balanced, 0) AS balanced, coalesce(extra, 0) AS extra,
    coalesce(validation, 0) AS validation
FROM group_balance LEFT JOIN kept_in USING (y, b)
WHERE curation_id IS NOT DISTINCT FROM $curation::VARCHAR OR NOT EXISTS (SELECT 1 FROM curations)
ORDER BY y, b;
