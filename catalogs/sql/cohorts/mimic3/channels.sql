-- Which channels are there, to how many decimals, and in which range is a value valid? (mimic3_schema.py fills it in)
CREATE TYPE channel AS ENUM (
    'heart_rate', 'systolic_bp', 'diastolic_bp', 'mean_bp', 'respiratory_rate', 'temperature', 'oxygen_saturation',
    'fio2', 'glucose', 'ph', 'height', 'weight', 'gcs_eye', 'gcs_motor', 'gcs_verbal', 'gcs_total', 'capillary_refill'
);
CREATE TYPE event_state AS ENUM ('valid', 'unreadable', 'out_of_range', 'marked_wrong');
CREATE TEMP TABLE channels (channel VARCHAR, decimals INTEGER, scale DOUBLE, low DOUBLE, high DOUBLE);
