-- What is known of each stay, without its ids and in an order that says nothing?
SELECT * EXCLUDE (icustay_id, subject_id, hadm_id) FROM features ORDER BY md5('mimic3 row:' || icustay_id);
