-- How is a score distributed over bins of equal width (of its logarithm, for log), per group and verdict?
WITH measured AS (
    SELECT sample_id, value FROM scores WHERE score = $score
    UNION ALL
    SELECT sample_id, trajectory_variance FROM generated WHERE $score = 'trajectory_variance'
),
placed AS (
    SELECT sample_id, (CASE WHEN $log THEN ln(value) ELSE value END - $low) / ($high - $low) * $bins AS place
    FROM measured WHERE isfinite(value) AND (value > 0 OR NOT $log)
),
judged AS (SELECT sample_id, accepted FROM verdicts WHERE curation_id = $curation::VARCHAR)
SELECT group_name, coalesce(accepted, true) AS accepted, greatest(0, least(floor(place), $bins - 1))::BIGINT AS bin,
    count(*) AS n
FROM placed JOIN plan USING (sample_id) LEFT JOIN judged USING (sample_id)
WHERE accepted IS NOT NULL OR $curation::VARCHAR IS NULL
GROUP BY ALL ORDER BY group_name, accepted, bin;
