-- Did the patient die in the hospital admission of the stay?
--
-- Yes if the admission's flag says so, or DEATHTIME or DOD lies within it; mimic3-benchmarks doesn't read the flag.
-- DOD is a day at midnight: on the admission's first day it is before ADMITTIME, and DEATHTIME or the flag tells.
CREATE TEMP TABLE mortality AS
SELECT icustay_id,
    CASE WHEN coalesce(expired, false) OR coalesce(deathtime BETWEEN admittime AND dischtime, false)
            OR coalesce(dod BETWEEN admittime AND dischtime, false)
        THEN 'yes' ELSE 'no' END AS in_hospital_death
FROM cohort WHERE left_out IS NULL;
