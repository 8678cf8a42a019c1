-- How well can a linear probe tell each group's kept samples from real pictures? 0.5: not at all, 1: always.
SELECT curation_id, group_name, "real", synthetic, round(auc, 3) AS auc, round(low, 3) AS low, round(high, 3) AS high, note
FROM g_detector ORDER BY curation_id, group_name;
