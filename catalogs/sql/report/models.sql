-- Which models made and scored the samples, by fingerprint?
SELECT CASE kind WHEN 'edit' THEN 'editor' ELSE 'generator' END AS role, generator AS model, generator_fingerprint AS fingerprint, count(*) AS samples
FROM plan GROUP BY ALL
UNION ALL
SELECT 'scorer', NULL, fingerprint, sum(row_count) FROM ingested
WHERE stage = 'score' AND fingerprint <> 'driver/1'  -- what the driver compares needs no model
GROUP BY fingerprint
ORDER BY role, model, fingerprint;
