-- What was the Glasgow coma scale at its worst and at last, each from one charting, so that its parts add up?
--
-- A charting is what has one time. Its total is the sum of the three parts and, where one lacks, the charted total
-- (only CareVue has one; mimic3-benchmarks leaves the total of MetaVision's patients empty). A charting without a total
-- is used only for stays that have no other.
CREATE TEMP TABLE coma_scale AS
WITH charting AS (
    SELECT icustay_id, charted_at, min(value) FILTER (channel = 'gcs_eye') AS eye,
        min(value) FILTER (channel = 'gcs_motor') AS motor, min(value) FILTER (channel = 'gcs_verbal') AS verbal,
        min(value) FILTER (channel = 'gcs_total') AS charted
    FROM events WHERE state = 'valid' AND channel IN ('gcs_eye', 'gcs_motor', 'gcs_verbal', 'gcs_total')
    GROUP BY icustay_id, charted_at
),
chosen AS (
    SELECT icustay_id, arg_min(score, (coalesce(score.total, 99), charted_at)) AS worst,
        arg_max(score, (score.total IS NOT NULL, charted_at)) AS last
    FROM (
        SELECT icustay_id, charted_at,
            {'eye': eye, 'motor': motor, 'verbal': verbal, 'total': coalesce(eye + motor + verbal, charted)} AS score
        FROM charting
    )
    GROUP BY icustay_id
)
SELECT icustay_id,
    worst.eye AS gcs_eye_worst, worst.motor AS gcs_motor_worst, worst.verbal AS gcs_verbal_worst,
    worst.total AS gcs_total_worst,
    last.eye AS gcs_eye_last, last.motor AS gcs_motor_last, last.verbal AS gcs_verbal_last,
    last.total AS gcs_total_last
FROM chosen;
