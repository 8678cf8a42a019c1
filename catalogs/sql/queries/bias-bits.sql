-- How many bits does the class share with the bias, and with bias and source, in each mix?
-- docs/methods.md#shared-bits
SELECT curation_id, mix, real, synthetic, missing, i_y_b_bits AS "I(Y;B)", i_y_bg_bits AS "I(Y;(B,G))"
FROM mutual_information
ORDER BY curation_id, list_position(['real', 'synthetic', 'usb', 'asb', 'ffr stage 1'], mix);
