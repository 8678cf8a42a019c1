-- What did a curation keep: the first of each group by replicate number, with scores? (without one: what was made)
WITH chosen AS (
    SELECT sample_id, y, b, group_name, prompt, replicate, shard, "offset", size, trajectory_variance
    FROM samples
    LEFT JOIN (SELECT sample_id, kept FROM verdicts WHERE curation_id = $curation::VARCHAR) USING (sample_id)
    WHERE kept OR $curation::VARCHAR IS NULL
    QUALIFY row_number() OVER (PARTITION BY y, b ORDER BY replicate, sample_id) <= $per_group
)
SELECT chosen.*, list({score: score, value: value, label: label} ORDER BY score) FILTER (WHERE score IS NOT NULL) AS scores
FROM chosen LEFT JOIN scores USING (sample_id)
GROUP BY ALL ORDER BY y, b, replicate, sample_id;
