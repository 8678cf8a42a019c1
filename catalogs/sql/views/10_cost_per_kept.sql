-- How many seconds of work does one kept sample cost? (seconds of the workers, summed; superseded work isn't counted)
CREATE VIEW cost_per_kept AS
WITH spent AS (
    SELECT sum(seconds) FILTER (WHERE stage = 'generate') AS generate_seconds,
        sum(seconds) FILTER (WHERE stage = 'score') AS score_seconds
    FROM task_attempts
),
made AS (SELECT count(*) AS generated FROM generated),
kept AS (
    SELECT curation_id, count(*) FILTER (WHERE kept) AS kept
    FROM curations LEFT JOIN verdicts USING (curation_id) GROUP BY curation_id
)
SELECT curation_id, generated, kept, generate_seconds, score_seconds,
    generate_seconds / nullif(generated, 0) AS seconds_per_generated,
    (generate_seconds + coalesce(score_seconds, 0)) / nullif(kept, 0) AS seconds_per_kept
FROM kept CROSS JOIN made CROSS JOIN spent;
