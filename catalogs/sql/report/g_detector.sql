-- How well are each group's kept samples told from its real pictures?
SELECT group_name, "real", synthetic, auc, low, high, note FROM g_detector
WHERE curation_id = $curation::VARCHAR ORDER BY group_name;
