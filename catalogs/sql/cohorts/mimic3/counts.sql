-- How many stays are there, how many does each rule leave out, and how many stays of how many patients remain?
SELECT 'stays_in_file' AS name, count(*) AS n FROM stays
UNION ALL
SELECT 'stays_rejected', count(*) FROM stays WHERE reject IS NOT NULL
UNION ALL
SELECT 'left_out_' || left_out, count(*) FROM cohort WHERE left_out IS NOT NULL GROUP BY left_out
UNION ALL
SELECT 'left_out_no_measurement',
    (SELECT count(*) FROM cohort WHERE left_out IS NULL) - (SELECT count(*) FROM features)
UNION ALL
SELECT 'stays', count(*) FROM features
UNION ALL
SELECT 'patients', count(DISTINCT subject_id) FROM features;
