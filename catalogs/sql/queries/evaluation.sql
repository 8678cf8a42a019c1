-- How useful, fair, like the real cohort and private is the synthetic one? (kind ehr; columns and importances apart)
-- default: aspect = %
SELECT curation_id, aspect, metric, trained_on, learner, attribute, group_name, value, low, high, n, note
FROM evaluations
WHERE aspect LIKE $aspect AND NOT contains(metric, ':')
ORDER BY curation_id, aspect, metric, learner, trained_on, attribute, group_name;
