-- What did each filter of a curation reject, and for which reason: the first of each reason, groups in turn?
WITH refused AS (
    SELECT filter, reason, samples.*,
        row_number() OVER (PARTITION BY filter, reason, y, b ORDER BY replicate, sample_id) AS turn
    FROM decisions JOIN samples USING (sample_id)
    WHERE curation_id = $curation::VARCHAR AND NOT keep AND filter <> 'quota'
),
chosen AS (
    SELECT filter, reason, count(*) OVER (PARTITION BY filter, reason) AS n, turn, y, b, group_name, sample_id, prompt,
        shard, "offset", size, trajectory_variance
    FROM refused
    QUALIFY row_number() OVER (PARTITION BY filter, reason ORDER BY turn, y, b, sample_id) <= $per_reason
)
SELECT chosen.*, list({score: score, value: value, label: label} ORDER BY score) FILTER (WHERE score IS NOT NULL) AS scores
FROM chosen LEFT JOIN scores USING (sample_id)
GROUP BY ALL ORDER BY filter, reason, turn, y, b, sample_id;
