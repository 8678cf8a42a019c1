-- Which groups have fewer kept samples than their quota, and by how many?
-- The quota is the curation's own, balanced, extra and validation samples together; NULL where its settings don't tell it.
CREATE VIEW shortfall AS
WITH said AS (
    SELECT curation_id, unnest(from_json(settings -> '$.quotas',
        '[{"y": "BIGINT", "b": "BIGINT", "balanced": "BIGINT", "extra": "BIGINT", "validation": "BIGINT"}]'), recursive := true)
    FROM curations
)
SELECT curation_id, y, b, group_name, balanced + coalesce(extra, 0) + coalesce(validation, 0) AS quota,
    generated, accepted, kept,
    CASE WHEN quota > kept THEN quota - kept WHEN quota <= kept THEN 0 END AS shortfall
FROM group_balance LEFT JOIN said USING (curation_id, y, b)
WHERE curation_id IS NOT NULL;
