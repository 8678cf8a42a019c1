-- What was measured of a curation of health records? (parameter curation)
SELECT aspect, metric, trained_on, learner, attribute, group_name, value, low, high, n, note
FROM evaluations WHERE curation_id = $curation::VARCHAR
ORDER BY aspect, metric, learner, trained_on, attribute, group_name;
