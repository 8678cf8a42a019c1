-- How are the scores distributed in each group? 40 bins of equal width per score; count, and the bin's edges.
CREATE VIEW score_histogram AS
WITH measured AS (
    SELECT sample_id, score, value FROM scores WHERE value IS NOT NULL
    UNION ALL
    SELECT sample_id, 'trajectory_variance', trajectory_variance FROM generated
    WHERE trajectory_variance IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM scores WHERE score = 'trajectory_variance')
),
extent AS (SELECT score, min(value) AS low, max(value) AS high FROM measured GROUP BY score),
binned AS (
    SELECT score, group_name, low, (high - low) / 40 AS width,
        CASE WHEN high > low THEN least(floor((value - low) / (high - low) * 40), 39)::BIGINT ELSE 0 END AS bin
    FROM measured JOIN extent USING (score) JOIN plan USING (sample_id)
)
SELECT score, group_name, bin, low + bin * width AS bin_low, low + (bin + 1) * width AS bin_high, count(*) AS n
FROM binned GROUP BY score, group_name, bin, low, width;
