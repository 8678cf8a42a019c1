-- Which scores were measured, how often, and over which range?
SELECT score, count(*) AS n, min(value) AS low, max(value) AS high FROM (
    SELECT score, value FROM scores
    UNION ALL
    SELECT 'trajectory_variance', trajectory_variance FROM generated
)
WHERE isfinite(value) GROUP BY score ORDER BY score;
