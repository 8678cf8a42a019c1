-- How much do phrases say of the class before and after augmentation?
INSERT INTO phrase_bits
SELECT curation_id, phrase, "real", real_holding, synthetic, synthetic_holding, bits_before, bits_after,
    getvariable('head').manifest
FROM read_parquet(getvariable('head').path);
