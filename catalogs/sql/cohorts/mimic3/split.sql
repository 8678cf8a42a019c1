-- Is a patient in the train or the test split? (80:20 by a hash of SUBJECT_ID: all stays of a patient are in one)
--
-- mimic3-benchmarks splits by patient too, 85:15, by a list of its own.
CREATE TEMP TABLE split AS
SELECT icustay_id,
    CASE WHEN ('0x' || left(md5('mimic3:' || subject_id), 8))::UBIGINT % 5 = 0 THEN 'test' ELSE 'train' END AS split
FROM cohort WHERE left_out IS NULL;
