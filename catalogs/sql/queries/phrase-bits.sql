-- How many bits does each ranked phrase share with the class, in the real images alone and with the kept samples?
SELECT curation_id, phrase, bits_before, bits_after, real_holding, "real", synthetic_holding, synthetic
FROM phrase_bits ORDER BY curation_id, bits_before DESC, phrase;
