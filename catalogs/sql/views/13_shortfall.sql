-- Which groups have fewer kept samples than their quota, and by how many?
-- The quota is the curation's own: settings.quota is {group: {"balanced": n, "extra": n}}, {group: n} or n. NULL: unknown.
CREATE VIEW shortfall AS
WITH said AS (
    SELECT curation_id, group_name,
        CASE json_type(settings, '$.quota')
            WHEN 'OBJECT' THEN CAST(settings -> '$.quota' AS MAP(VARCHAR, JSON))[group_name]
            ELSE settings -> '$.quota'
        END AS quota
    FROM curations CROSS JOIN groups
),
quotas AS (
    SELECT curation_id, group_name,
        CASE json_type(quota)
            WHEN 'OBJECT' THEN (quota ->> '$.balanced')::BIGINT + coalesce((quota ->> '$.extra')::BIGINT, 0)
            ELSE TRY_CAST(quota ->> '$' AS BIGINT)
        END AS quota
    FROM said
)
SELECT curation_id, y, b, group_name, quota, generated, accepted, kept, greatest(quota - kept, 0) AS shortfall
FROM group_balance JOIN quotas USING (curation_id, group_name);
