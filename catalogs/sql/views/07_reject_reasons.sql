-- Why was anything rejected: at which stage or by which filter, for which reason, and how often?
-- Stages' rejects have no curation; the decision "generated" only repeats them and is left out. A sample that can't be
-- scored has a row per score and counts once; a source id that repeats has a row per copy, and each counts.
CREATE VIEW reject_reasons AS
SELECT NULL AS curation_id, stage AS rejected_by, reason,
    CASE WHEN stage = 'score' THEN count(DISTINCT id) ELSE count(*) END AS n, min(id) AS example, min(detail) AS detail
FROM rejects GROUP BY stage, reason
UNION ALL
SELECT curation_id, filter, reason, count(*), min(sample_id), NULL
FROM decisions WHERE NOT keep AND filter <> 'generated' GROUP BY curation_id, filter, reason;
