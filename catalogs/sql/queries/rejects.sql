-- Why was anything rejected: at which stage or by which filter, for which reason, and how often?
SELECT curation_id, rejected_by, reason, n, example, detail FROM reject_reasons
ORDER BY curation_id NULLS FIRST, n DESC, rejected_by, reason;
