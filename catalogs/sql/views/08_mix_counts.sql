-- How many real (g = 0) and synthetic (g = 1) samples of each group are in each mix?
-- The counts are those of docs/methods.md#counts-of-synthetic-samples.
-- real; synthetic: what the curation kept, USB's extra samples apart; usb adds M - n to each group, asb and FFR's
-- stage 1 take m = floor(sum(M - n) / K) of each; `missing` counts what the curation lacks for the mix.
CREATE VIEW mix_counts AS
WITH each_curation AS (
    SELECT curation_id FROM curations
    UNION ALL
    SELECT NULL WHERE NOT EXISTS (SELECT 1 FROM curations)
),
held AS (
    SELECT curation_id, y, b, count(*) FILTER (WHERE split IS DISTINCT FROM 'extra') AS balanced, count(*) AS n
    FROM shard_index WHERE g = 1 AND split IS DISTINCT FROM 'validation' GROUP BY curation_id, y, b
),
rule AS (
    SELECT y, b, n AS real, max(n) OVER () - n AS usb, (sum(max_n - n) OVER () // count(*) OVER ())::BIGINT AS m
    FROM (SELECT y, b, n, max(n) OVER () AS max_n FROM real_counts)
),
per_group AS (
    SELECT each_curation.curation_id, rule.*, coalesce(held.n, 0) AS held, coalesce(held.balanced, 0) AS balanced
    FROM each_curation CROSS JOIN rule
    LEFT JOIN held ON held.curation_id IS NOT DISTINCT FROM each_curation.curation_id
        AND held.y = rule.y AND held.b = rule.b
)
SELECT curation_id, 'real' AS mix, y, b, 0 AS g, real AS n, 0 AS missing FROM per_group
UNION ALL SELECT curation_id, 'synthetic', y, b, 1, balanced, 0 FROM per_group
UNION ALL SELECT curation_id, 'usb', y, b, 0, real, 0 FROM per_group
UNION ALL SELECT curation_id, 'usb', y, b, 1, usb, greatest(usb - held, 0) FROM per_group
UNION ALL SELECT curation_id, 'asb', y, b, 0, real, 0 FROM per_group
UNION ALL SELECT curation_id, 'asb', y, b, 1, m, greatest(m - balanced, 0) FROM per_group
UNION ALL SELECT curation_id, 'ffr stage 1', y, b, 1, m, greatest(m - balanced, 0) FROM per_group;
