-- Which number does a charted word stand for? (Glasgow coma scale; capillary refill: 0 normal, 1 delayed)
--
-- CareVue's words start with the score ('4 Spontaneously') and are read by it; these are MetaVision's, and both
-- systems' for capillary refill. mimic3-benchmarks reads an eye opening of 'None' as 0, which is no score; it is 1.
CREATE TEMP TABLE words AS
FROM (
    VALUES
    ('gcs_eye', 'none', 1),
    ('gcs_eye', 'no response', 1),
    ('gcs_eye', 'to pain', 2),
    ('gcs_eye', 'to speech', 3),
    ('gcs_eye', 'spontaneously', 4),
    ('gcs_verbal', 'no response', 1),
    ('gcs_verbal', 'no response-ett', 1),
    ('gcs_verbal', 'incomprehensible sounds', 2),
    ('gcs_verbal', 'inappropriate words', 3),
    ('gcs_verbal', 'confused', 4),
    ('gcs_verbal', 'oriented', 5),
    ('gcs_motor', 'no response', 1),
    ('gcs_motor', 'abnormal extension', 2),
    ('gcs_motor', 'abnormal flexion', 3),
    ('gcs_motor', 'flex-withdraws', 4),
    ('gcs_motor', 'localizes pain', 5),
    ('gcs_motor', 'obeys commands', 6),
    ('capillary_refill', 'brisk', 0),
    ('capillary_refill', 'normal <3 secs', 0),
    ('capillary_refill', 'normal <3 seconds', 0),
    ('capillary_refill', 'delayed', 1),
    ('capillary_refill', 'abnormal >3 secs', 1),
    ('capillary_refill', 'abnormal >3 seconds', 1)
) AS words (channel, word, score);
