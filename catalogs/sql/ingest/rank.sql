-- Which phrases rank highest in each class, and which of them are spurious?
INSERT INTO spurious_features
SELECT y, class_name, phrase, kind, rank, spurious, score, aspire_score, occurrences, edits, successes, hits,
    rate, low, high, excess_low, mean_shift, lift, lift_low, lift_high, bits, getvariable('head').manifest
FROM read_parquet(getvariable('head').path);
