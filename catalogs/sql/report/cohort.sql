-- How many people has each split of the cohort?
SELECT dataset, split, sum(n)::BIGINT AS n FROM cohort_groups GROUP BY ALL ORDER BY dataset, split DESC;
