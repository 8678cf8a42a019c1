-- Why was anything rejected, by a stage or by a filter of this curation, how often, and what is an example?
SELECT rejected_by, reason, n, example, detail, curation_id IS NULL AS by_stage
FROM reject_reasons
WHERE curation_id IS NULL OR curation_id = $curation::VARCHAR
ORDER BY by_stage DESC, list_position(['source', 'generate', 'score'], rejected_by) NULLS LAST,
    rejected_by = 'quota', n DESC, rejected_by, reason;
