-- How well can a group's kept samples be told from its real pictures?
INSERT INTO g_detector
SELECT curation_id, group_name, "real", synthetic, auc, low, high, note, getvariable('head').manifest
FROM read_parquet(getvariable('head').path);
