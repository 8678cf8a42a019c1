-- How many seconds of work did one kept sample cost?
SELECT * FROM cost_per_kept ORDER BY curation_id;
