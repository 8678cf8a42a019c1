-- How many days did the ICU stay last? (an outcome; not a feature)
CREATE TEMP TABLE length_of_stay AS
SELECT icustay_id, round(epoch(outtime - intime) / 86400, 4) AS los_days FROM cohort WHERE left_out IS NULL;
