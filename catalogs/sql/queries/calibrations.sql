-- Where does each filter's limit lie in each curation, and how sure is it? "*" holds for groups without one of their own.
SELECT curation_id, filter, score, keeps, calibrated_on, group_name, retain, n, round(threshold, 6) AS threshold,
    round(low, 6) AS low, round(high, 6) AS high, note
FROM calibrations ORDER BY curation_id, filter, score, group_name;
