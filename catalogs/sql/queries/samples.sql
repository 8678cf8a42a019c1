-- Which samples were generated, and did the curations keep them? (parameters group, all unless told, and limit, 20)
-- default: group = %
-- default: limit = 20
SELECT sample_id, group_name, replicate, prompt, trajectory_variance, count(*) FILTER (WHERE kept) AS kept_by, shard, "offset"
FROM samples LEFT JOIN verdicts USING (sample_id)
WHERE coalesce(group_name, '') LIKE $group
GROUP BY ALL ORDER BY group_name, replicate, sample_id LIMIT $limit::BIGINT;
