-- Was capillary refill ever delayed in a stay's first 48 hours, and was it at last? (left and right side: the worse)
CREATE TEMP TABLE capillary_refill AS
SELECT icustay_id, CASE max(value) WHEN 1 THEN 'delayed' ELSE 'normal' END AS capillary_refill_worst,
    CASE arg_max(value, (charted_at, value)) WHEN 1 THEN 'delayed' ELSE 'normal' END AS capillary_refill_last
FROM events WHERE state = 'valid' AND channel = 'capillary_refill'
GROUP BY icustay_id;
