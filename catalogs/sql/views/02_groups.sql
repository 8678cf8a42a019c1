-- Which (class, bias) groups does the run know?
CREATE VIEW groups AS
SELECT DISTINCT y, class_name, b, bias_name, group_name FROM (
    SELECT DISTINCT y, class_name, b, bias_name, group_name FROM sources
    UNION ALL
    SELECT DISTINCT y, class_name, b, bias_name, group_name FROM cohort_groups
    UNION ALL
    SELECT DISTINCT y, class_name, b, bias_name, group_name FROM plan
    UNION ALL
    SELECT DISTINCT y, class_name, b, bias_name, group_name FROM shard_index
);
