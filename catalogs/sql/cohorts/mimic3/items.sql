-- Which ITEMIDs of CHARTEVENTS and LABEVENTS measure each of the 17 channels, and in which unit?
--
-- The ITEMIDs are those that mimic3-benchmarks (Harutyunyan et al., Scientific Data 2019) uses, CareVue's (to 8,999),
-- MetaVision's (220,000 and up) and the laboratory's (50,800 to 51,999), with these differences:
-- left out   glucose 51478 and pH 51491, 51094 (urine), pH 50831 (other body fluids), pH 1673 (of an unnamed specimen);
-- added      capillary refill 223951, 224308, diastolic 227242, mean BP 443, FiO2 190 (set), height 920 and weight 762
--            (at admission): else MetaVision's patients have no capillary refill, and CareVue's hardly a height.
CREATE TEMP TABLE items AS
SELECT unnest(itemids)::INTEGER AS itemid, channel, unit
FROM (
    VALUES
    ('capillary_refill', '', [115, 3348, 8377, 223951, 224308]),
    ('diastolic_bp', 'mmHg', [8368, 8440, 8441, 8502, 8503, 8504, 8506, 8507, 8555, 220051, 220180, 224643,
        225310, 227242]),
    ('fio2', '', [189, 190, 727, 3420, 3422, 223835]),
    ('gcs_eye', '', [184, 220739]),
    ('gcs_motor', '', [454, 223901]),
    ('gcs_verbal', '', [723, 223900]),
    ('gcs_total', '', [198]),
    ('glucose', 'mg/dL', [807, 811, 1529, 3745, 220621, 225664, 226537, 50809, 50931]),
    ('heart_rate', '1/min', [211, 220045]),
    ('height', 'in', [920, 1394, 226707]),
    ('height', 'cm', [226730]),
    ('mean_bp', 'mmHg', [52, 224, 443, 456, 3312, 3314, 3316, 3320, 3322, 6702, 220052, 220181, 224322, 225312]),
    ('oxygen_saturation', '%', [646, 834, 8498, 220227, 220277, 50817]),
    ('respiratory_rate', '1/min', [614, 615, 618, 651, 3603, 220210, 224422, 224689, 224690]),
    ('systolic_bp', 'mmHg', [51, 442, 455, 3313, 3315, 3317, 3321, 3323, 6701, 220050, 220179, 224167, 225309, 227243]),
    ('temperature', '', [676, 677, 678, 679, 3654, 3655, 223761, 223762]),
    ('weight', 'kg', [762, 763, 3580, 3693, 224639, 226512]),
    ('weight', 'lb', [3581, 226531]),
    ('weight', 'oz', [3582]),
    ('ph', '', [780, 860, 1126, 3839, 4202, 4753, 220274, 223830, 50820])
) AS channels (channel, unit, itemids);
