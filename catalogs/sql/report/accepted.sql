-- What share of the samples that a filter looked at did it accept, per group and over all?
SELECT filter, y, b, coalesce(group_name, '') AS group_name, sum(seen)::BIGINT AS seen, sum(accepted)::BIGINT AS accepted
FROM accept_rate
WHERE curation_id = $curation::VARCHAR AND filter <> 'quota'
GROUP BY GROUPING SETS ((filter), (filter, y, b, group_name))
ORDER BY filter, y NULLS FIRST, b;
