-- What was measured of each stay in its first 48 hours, in one unit a channel, and which values can't be used?
--
-- An event belongs to the stay whose ICUSTAY_ID it has or, where it has none (always in LABEVENTS), to the stay of its
-- HADM_ID, if its CHARTTIME lies in the 48 hours. mimic3-benchmarks also drops events that have an ICUSTAY_ID but no
-- HADM_ID, and reads those that MetaVision marks as wrong (ERROR = 1), which are dropped here.
--
-- Values are whole numbers of the last decimal that is kept (a temperature of 36.8 is 368): their sums are the same in
-- any order. Outside the channel's range a value is dropped; mimic3-benchmarks moves some to the nearest valid one.
--
-- DuckDB takes a CSV file for 42 rows and would hold all of CHARTEVENTS to join it. In the order that is written here
-- the file streams past items and stays, which are held. Nothing after it needs the order of rows in a file.
SET disabled_optimizers = 'join_order,build_side_probe_side';
SET preserve_insertion_order = false;

CREATE TEMP TABLE events AS
WITH stay_ids AS (
    SELECT icustay_id, icustay_id AS id, false AS by_admission, intime FROM cohort WHERE left_out IS NULL
    UNION ALL
    SELECT icustay_id, hadm_id, true, intime FROM cohort WHERE left_out IS NULL
),
written AS (
    SELECT TRY_CAST(icustay_id AS INTEGER) AS icustay_id, TRY_CAST(hadm_id AS INTEGER) AS hadm_id, itemid, charttime,
        value, valuenum, valueuom, error
    FROM chartevents
    UNION ALL
    SELECT NULL, TRY_CAST(hadm_id AS INTEGER), itemid, charttime, value, valuenum, valueuom, NULL FROM labevents
),
charted AS (
    SELECT stay_ids.icustay_id, items.channel, items.unit, TRY_CAST(charttime AS TIMESTAMP) AS charted_at,
        coalesce(trim(value), '') AS value, valuenum, lower(coalesce(trim(valueuom), '')) AS uom,
        coalesce(trim(error) = '1', false) AS marked_wrong, intime
    FROM written
    JOIN items ON items.itemid = TRY_CAST(written.itemid AS INTEGER)
    JOIN stay_ids ON stay_ids.id = coalesce(written.icustay_id, written.hadm_id)
        AND stay_ids.by_admission = (written.icustay_id IS NULL)
),
numbered AS (
    SELECT charted.*,
        CASE
            WHEN value = '' THEN TRY_CAST(valuenum AS DOUBLE)
            WHEN TRY_CAST(value AS DOUBLE) IS NOT NULL THEN TRY_CAST(value AS DOUBLE)
            WHEN charted.channel LIKE 'gcs_%' AND regexp_matches(value, '^\d(\.0)?\s') THEN TRY_CAST(value[1] AS DOUBLE)
            WHEN charted.channel = 'systolic_bp' THEN TRY_CAST(regexp_extract(value, '^(\d+)/\d+$', 1) AS DOUBLE)
            WHEN charted.channel = 'diastolic_bp' THEN TRY_CAST(regexp_extract(value, '^\d+/(\d+)$', 1) AS DOUBLE)
            ELSE words.score
        END AS number
    FROM charted
    LEFT JOIN words ON words.channel = charted.channel AND words.word = lower(charted.value)
    WHERE charted_at BETWEEN intime AND intime + INTERVAL 48 HOURS
),
converted AS (
    SELECT *,
        CASE
            -- 45 Celsius is the highest valid and 79 Fahrenheit the lowest: the number says its unit, the label errs
            WHEN channel = 'temperature' AND number >= 79 THEN (number - 32) * 5 / 9
            WHEN channel = 'fio2' AND uom LIKE '%torr%' THEN NULL
            WHEN channel = 'fio2' AND number > 1 THEN number / 100
            WHEN channel = 'oxygen_saturation' AND number <= 1 THEN number * 100
            WHEN channel = 'height' AND (uom LIKE 'in%' OR unit = 'in' AND uom <> 'cm') THEN number * 2.54
            WHEN channel = 'weight' AND (uom LIKE 'lb%' OR unit = 'lb' AND uom NOT IN ('kg', 'oz'))
                THEN number * 0.45359237
            WHEN channel = 'weight' AND (uom = 'oz' OR unit = 'oz' AND uom <> 'kg') THEN number * 0.028349523125
            ELSE number
        END AS measured
    FROM numbered
)
SELECT icustay_id, converted.channel::channel AS channel, charted_at,
    CASE
        WHEN marked_wrong THEN 'marked_wrong'
        WHEN measured IS NULL OR isnan(measured) THEN 'unreadable'
        WHEN measured < low OR measured > high THEN 'out_of_range'
        ELSE 'valid'
    END::event_state AS state,
    CASE WHEN state = 'valid' THEN TRY_CAST(round(measured * scale) AS INTEGER) END AS value
FROM converted JOIN channels ON channels.channel = converted.channel;

RESET disabled_optimizers;
