-- Which ethnicity, sex, age band and insurance does each stay's patient have?
--
-- ETHNICITY has some 40 values; the first words group them ('WHITE - RUSSIAN', 'BLACK/AFRICAN AMERICAN'). What isn't
-- known is a group of its own, since it isn't missing at random.
CREATE TEMP TABLE protected AS
SELECT icustay_id,
    CASE
        WHEN ethnicity LIKE 'WHITE%' THEN 'white'
        WHEN ethnicity LIKE 'BLACK%' THEN 'black'
        WHEN ethnicity LIKE 'HISPANIC%' THEN 'hispanic'
        WHEN ethnicity LIKE 'ASIAN%' THEN 'asian'
        WHEN ethnicity LIKE 'UNKNOWN%' OR ethnicity LIKE 'UNABLE%' OR ethnicity LIKE 'PATIENT DECLINED%'
            OR coalesce(ethnicity, '') = '' THEN 'unknown'
        ELSE 'other'
    END AS ethnicity,
    CASE gender WHEN 'F' THEN 'female' WHEN 'M' THEN 'male' END AS sex,
    CASE WHEN age < 45 THEN '18-44' WHEN age < 65 THEN '45-64' WHEN age < 80 THEN '65-79' ELSE '80+' END AS age_band,
    CASE WHEN insurance IN ('government', 'medicaid', 'medicare', 'private', 'self pay') THEN insurance END AS insurance
FROM cohort WHERE left_out IS NULL;
