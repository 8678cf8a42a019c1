-- How many defendants of COMPAS does each of ProPublica's rules leave out? (a defendant may be counted by several)
SELECT
    count(*) AS read,
    count(*) FILTER (WHERE NOT coalesce(try_cast(days_b_screening_arrest AS BIGINT) BETWEEN -30 AND 30, false)) AS screening_far_from_arrest,
    count(*) FILTER (WHERE is_recid = '-1') AS recidivism_unknown,
    count(*) FILTER (WHERE c_charge_degree = 'O') AS ordinary_traffic_offence,
    count(*) FILTER (WHERE score_text = 'N/A') AS not_scored
FROM read_csv($path, all_varchar = true, header = true, nullstr = '');
