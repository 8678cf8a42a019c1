-- How many bits does the class share with the bias, and with bias and source, in each mix?
-- docs/methods.md#shared-bits
SELECT mix, real, synthetic, missing, i_y_b_bits AS y_b, i_y_bg_bits AS y_bg
FROM mutual_information
WHERE curation_id IS NOT DISTINCT FROM $curation::VARCHAR OR NOT EXISTS (SELECT 1 FROM curations)
ORDER BY list_position(['real', 'synthetic', 'usb', 'asb', 'ffr stage 1'], mix);
