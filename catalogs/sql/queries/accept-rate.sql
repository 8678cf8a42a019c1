-- What share of the samples that a filter looked at did it accept, per group and over all groups?
SELECT curation_id, filter, coalesce(group_name, '(all)') AS group_name, sum(seen) AS seen,
    sum(accepted) AS accepted, sum(accepted) / sum(seen) AS accept_rate
FROM accept_rate
GROUP BY GROUPING SETS ((curation_id, filter), (curation_id, filter, y, b, group_name))
ORDER BY curation_id, filter <> 'generated', filter = 'quota', filter, y NULLS FIRST, b;
