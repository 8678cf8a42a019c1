-- Which limits did the curation measure, all groups first?
SELECT filter, score, keeps, calibrated_on, group_name, retain, n, dropped, threshold, low, high, note
FROM calibrations WHERE curation_id = $curation::VARCHAR
ORDER BY filter, score, group_name <> '*', group_name;
