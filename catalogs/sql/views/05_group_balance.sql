-- How balanced are the groups before filtering, and after it, in each curation?
-- kept = kept_balanced + kept_extra, the latter for USB alone, + those of the generated validation set; `share_after` is
-- the share of the balanced split.
CREATE VIEW group_balance AS
WITH each_curation AS (
    SELECT curation_id FROM curations
    UNION ALL
    SELECT NULL WHERE NOT EXISTS (SELECT 1 FROM curations)
),
planned AS (SELECT y, b, count(*) AS n FROM plan GROUP BY y, b),
made AS (SELECT y, b, count(*) AS n FROM samples GROUP BY y, b),
after_filters AS (
    SELECT curation_id, y, b, count(*) FILTER (WHERE accepted) AS accepted, count(*) FILTER (WHERE kept) AS kept
    FROM verdicts JOIN plan USING (sample_id) GROUP BY curation_id, y, b
),
curated AS (
    SELECT curation_id, y, b, count(*) FILTER (WHERE split IS DISTINCT FROM 'extra') AS kept_balanced,
        count(*) FILTER (WHERE split = 'extra') AS kept_extra
    FROM shard_index WHERE g = 1 AND split IS DISTINCT FROM 'validation' GROUP BY curation_id, y, b
)
SELECT curation_id, y, class_name, b, bias_name, group_name,
    coalesce(real_counts.n, 0) AS real_train,
    coalesce(planned.n, 0) AS planned,
    coalesce(made.n, 0) AS generated,
    coalesce(accepted, 0) AS accepted,
    coalesce(kept, 0) AS kept,
    coalesce(kept_balanced, 0) AS kept_balanced,
    coalesce(kept_extra, 0) AS kept_extra,
    coalesce(made.n, 0) / nullif(sum(made.n) OVER whole, 0) AS share_before,
    coalesce(kept_balanced, 0) / nullif(sum(kept_balanced) OVER whole, 0) AS share_after
FROM each_curation CROSS JOIN real_counts
LEFT JOIN planned USING (y, b)
LEFT JOIN made USING (y, b)
LEFT JOIN after_filters USING (curation_id, y, b)
LEFT JOIN curated USING (curation_id, y, b)
WINDOW whole AS (PARTITION BY curation_id);
