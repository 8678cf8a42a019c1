-- Which ICU stays are there, of whom, and which have data that can't be right? (reject is NULL where nothing is wrong)
--
-- Dates are shifted into 2100 to 2200, and the birth of people over 89 to 300 years before their first admission, which
-- can be before 1900: their age comes out near 300 and counts as 90. Age is in whole calendar years at INTIME;
-- mimic3-benchmarks divides days by 365, which makes adults of a few who are 17.
CREATE TEMP TABLE patients_once AS
SELECT TRY_CAST(subject_id AS INTEGER) AS subject_id, upper(trim(gender)) AS gender, TRY_CAST(dob AS TIMESTAMP) AS dob,
    TRY_CAST(dod AS TIMESTAMP) AS dod
FROM patients
QUALIFY row_number() OVER (PARTITION BY TRY_CAST(subject_id AS INTEGER) ORDER BY dob, dod, gender) = 1;

CREATE TEMP TABLE admissions_once AS
SELECT TRY_CAST(hadm_id AS INTEGER) AS hadm_id, TRY_CAST(subject_id AS INTEGER) AS subject_id,
    TRY_CAST(admittime AS TIMESTAMP) AS admittime, TRY_CAST(dischtime AS TIMESTAMP) AS dischtime,
    TRY_CAST(deathtime AS TIMESTAMP) AS deathtime, trim(hospital_expire_flag) = '1' AS expired,
    upper(trim(ethnicity)) AS ethnicity, lower(trim(insurance)) AS insurance
FROM admissions
QUALIFY row_number() OVER (PARTITION BY TRY_CAST(hadm_id AS INTEGER) ORDER BY admittime, dischtime, deathtime) = 1;

CREATE TEMP TABLE stays AS
WITH icu AS (
    SELECT row_number() OVER () - 1 AS file_row, TRY_CAST(icustay_id AS INTEGER) AS icustay_id,
        TRY_CAST(subject_id AS INTEGER) AS subject_id, TRY_CAST(hadm_id AS INTEGER) AS hadm_id,
        TRY_CAST(intime AS TIMESTAMP) AS intime, TRY_CAST(outtime AS TIMESTAMP) AS outtime,
        first_careunit = last_careunit AND first_wardid = last_wardid AS stayed
    FROM icustays
),
joined AS (
    SELECT icu.*, admission.* EXCLUDE (hadm_id, subject_id), patient.* EXCLUDE (subject_id),
        admission.hadm_id IS NOT NULL AS admitted, patient.subject_id IS NOT NULL AS known,
        least(datesub('year', dob, intime), 90) AS age,
        row_number() OVER (PARTITION BY icu.icustay_id ORDER BY file_row) AS occurrence
    FROM icu
    LEFT JOIN admissions_once AS admission ON admission.hadm_id = icu.hadm_id AND admission.subject_id = icu.subject_id
    LEFT JOIN patients_once AS patient ON patient.subject_id = icu.subject_id
)
SELECT *,
    CASE
        WHEN icustay_id IS NULL OR subject_id IS NULL OR hadm_id IS NULL THEN 'missing_id'
        WHEN occurrence > 1 THEN 'duplicate_stay'
        WHEN intime IS NULL THEN 'missing_intime'
        WHEN outtime IS NULL THEN 'missing_outtime'
        WHEN outtime < intime THEN 'out_before_in'
        WHEN NOT admitted THEN 'no_admission'
        WHEN NOT known THEN 'no_patient'
        WHEN admittime IS NULL THEN 'missing_admittime'
        WHEN dischtime IS NULL THEN 'missing_dischtime'
        WHEN dob IS NULL THEN 'missing_dob'
        WHEN deathtime < admittime OR dod::DATE < admittime::DATE THEN 'death_before_admission'
        WHEN deathtime < intime THEN 'death_before_stay'
    END AS reject
FROM joined;
