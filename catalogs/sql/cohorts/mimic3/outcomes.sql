-- What became of each stay in the cohort: days in the ICU, and the phenotypes? (in the order of rows.sql)
SELECT los_days, phenotypes.* EXCLUDE (icustay_id)
FROM features JOIN length_of_stay USING (icustay_id) JOIN phenotypes USING (icustay_id)
ORDER BY md5('mimic3 row:' || icustay_id);
