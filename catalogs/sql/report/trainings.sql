-- Which trainings belong to a curation: those that read its index, and those that read none?
WITH indexes AS (
    SELECT DISTINCT manifest, curation_id FROM shard_index WHERE g = 1
),
synthetic AS (
    SELECT ingested.manifest, list(DISTINCT curation_id) AS curations
    FROM ingested JOIN indexes ON list_contains(ingested.inputs, indexes.manifest)
    WHERE ingested.stage = 'train' GROUP BY ingested.manifest
)
SELECT training_id, method, loss, seed, model, selection, settings,
    curations IS NULL OR list_contains(curations, $curation::VARCHAR) AS current
FROM training_runs LEFT JOIN synthetic USING (manifest)
ORDER BY method, loss, seed, training_id;
