-- What is known of each stay in the cohort, one row a stay?
--
-- A stay without one usable measurement in its first 48 hours is left out.
CREATE TEMP TABLE features AS
SELECT cohort.icustay_id, cohort.subject_id, cohort.hadm_id, measurements.* EXCLUDE (icustay_id),
    measurements.height_median AS height, measurements.weight_median AS weight, coma_scale.* EXCLUDE (icustay_id),
    capillary_refill.* EXCLUDE (icustay_id), protected.* EXCLUDE (icustay_id), in_hospital_death, split
FROM cohort
JOIN mortality USING (icustay_id)
JOIN protected USING (icustay_id)
JOIN split USING (icustay_id)
LEFT JOIN measurements USING (icustay_id)
LEFT JOIN coma_scale USING (icustay_id)
LEFT JOIN capillary_refill USING (icustay_id)
WHERE icustay_id IN (SELECT icustay_id FROM events WHERE state = 'valid');
