-- Who are the patients of SUPPORT2, as known on study day 3, and who died in hospital? Reads the study's CSV from $path.
--
-- Numbers are given back the precision they were charted at (the file holds 0.89990234 for a creatinine of 0.9).
-- Left out as leaks, since they are known after day 3 or are outcomes: death, slos, d.time, charges, totcst, totmcst,
-- avtisst (days 3 to 25), sfdm2, dnr and dnrday. Left out as other models' or people's forecasts of the outcome: surv2m,
-- surv6m, prg2m, prg6m. Left out as functions of what stays: dzclass, aps, sps. Left out in doubt: adlp, adls and adlsc,
-- which one description of the data puts on day 3 and another on day 7.
SELECT
    round(age, 1) AS age,
    sex,
    coalesce(race, 'unknown') AS race,
    edu::BIGINT AS education,
    income,
    dzgroup AS disease_group,
    ca AS cancer,
    CASE diabetes WHEN 1 THEN 'yes' ELSE 'no' END AS diabetes,
    CASE dementia WHEN 1 THEN 'yes' ELSE 'no' END AS dementia,
    "num.co"::BIGINT AS comorbidities,
    scoma::BIGINT AS coma_score,
    hday::BIGINT AS hospital_day,
    meanbp::BIGINT AS mean_bp,
    hrt::BIGINT AS heart_rate,
    resp::BIGINT AS respiration_rate,
    round(temp, 1) AS temperature,
    round(wblc, 1) AS wbc,
    round(pafi, 1) AS pafi,
    round(alb, 1) AS albumin,
    round(bili, 1) AS bilirubin,
    round(crea, 1) AS creatinine,
    sod::BIGINT AS sodium,
    round(ph, 2) AS ph,
    glucose::BIGINT AS glucose,
    bun::BIGINT AS bun,
    urine::BIGINT AS urine_output,
    CASE hospdead WHEN 1 THEN 'yes' ELSE 'no' END AS hospital_death
FROM read_csv($path, nullstr = ['', ' '], header = true)
ORDER BY sno;
