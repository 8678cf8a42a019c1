-- Where would each limit lie for other shares retained?
SELECT score, group_name, share, threshold FROM calibration_curves
WHERE curation_id = $curation::VARCHAR AND filter = $filter AND share >= $least AND isfinite(threshold)
ORDER BY score, group_name, share;
