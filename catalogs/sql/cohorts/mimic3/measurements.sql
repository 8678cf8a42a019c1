-- What are the mean, least and largest value of each numeric channel in a stay's first 48 hours?
--
-- A mean has a decimal more than the values. Height and weight have one median each: they change little, and a unit
-- that is charted wrongly moves a mean.
CREATE TEMP TABLE measurements AS
WITH summary AS (
    SELECT icustay_id, channel::VARCHAR AS channel, avg(value) AS mean, min(value) AS least, max(value) AS largest,
        quantile_disc(value, 0.5) FILTER (channel IN ('height', 'weight')) AS median
    FROM events
    WHERE state = 'valid' AND channel NOT IN ('gcs_eye', 'gcs_motor', 'gcs_verbal', 'gcs_total', 'capillary_refill')
    GROUP BY ALL
),
scaled AS (
    SELECT icustay_id, channel, round(mean / scale, decimals + 1) AS mean, least / scale AS min, largest / scale AS max,
        median / scale AS median
    FROM summary JOIN channels USING (channel)
)
PIVOT scaled
ON channel IN ('heart_rate', 'systolic_bp', 'diastolic_bp', 'mean_bp', 'respiratory_rate', 'temperature',
    'oxygen_saturation', 'fio2', 'glucose', 'ph', 'height', 'weight')
USING first(mean) AS mean, first(min) AS min, first(max) AS max, first(median) AS median
GROUP BY icustay_id;
