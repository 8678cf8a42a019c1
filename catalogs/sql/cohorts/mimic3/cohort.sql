-- Which ICU stays are in the cohort, and which does a rule leave out? (left_out is NULL for those that are in)
--
-- The rules are those of mimic3-benchmarks and its in-hospital mortality task, in its order: no transfer between units
-- or wards; one ICU stay in the admission, counted among those without a transfer; 18 years or older (it reports 42,276
-- stays of 33,798 patients here); 48 hours or longer; a measurement in them (features.sql). One more is ours: who dies
-- within the 48 hours isn't to be predicted from them.
CREATE TEMP TABLE cohort AS
WITH ruled AS (
    SELECT *, count(*) FILTER (stayed) OVER (PARTITION BY hadm_id) AS stays_of_admission
    FROM stays WHERE reject IS NULL
)
SELECT *,
    CASE
        WHEN NOT coalesce(stayed, false) THEN 'transfer'
        WHEN stays_of_admission > 1 THEN 'several_stays'
        WHEN age < 18 THEN 'under_18'
        WHEN outtime < intime + INTERVAL 48 HOURS THEN 'under_48_hours'
        WHEN deathtime < intime + INTERVAL 48 HOURS THEN 'death_within_48_hours'
    END AS left_out
FROM ruled;
