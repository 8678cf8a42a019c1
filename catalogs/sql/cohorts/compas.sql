-- Who are the defendants of COMPAS (ProPublica's compas-scores-two-years.csv), and who was charged again within two years?
--
-- Left out by ProPublica's own rules, each counted by compas_counts.sql: screening more than 30 days before or after the
-- arrest, no recidivism known (is_recid -1), ordinary traffic offences (charge degree O), no score. Left out as columns:
-- names, dates of birth and case numbers; decile scores and score_text, which are the tool's own prediction; all that is
-- known later (r_*, vr_*, is_recid, is_violent_recid, in_custody, end, event).
SELECT
    try_cast(age AS BIGINT) AS age,
    sex,
    race,
    try_cast(juv_fel_count AS BIGINT) AS juvenile_felonies,
    try_cast(juv_misd_count AS BIGINT) AS juvenile_misdemeanours,
    try_cast(juv_other_count AS BIGINT) AS juvenile_others,
    try_cast(priors_count AS BIGINT) AS priors,
    c_charge_degree AS charge_degree,
    CASE WHEN try_cast(c_jail_out AS TIMESTAMP) >= try_cast(c_jail_in AS TIMESTAMP)
        THEN date_diff('day', try_cast(c_jail_in AS TIMESTAMP), try_cast(c_jail_out AS TIMESTAMP)) END AS jail_days,
    CASE two_year_recid WHEN '1' THEN 'yes' WHEN '0' THEN 'no' END AS two_year_recidivism
FROM read_csv($path, all_varchar = true, header = true, nullstr = '')
WHERE try_cast(days_b_screening_arrest AS BIGINT) BETWEEN -30 AND 30
    AND is_recid <> '-1' AND c_charge_degree <> 'O' AND score_text <> 'N/A'
ORDER BY try_cast(id AS BIGINT);
