-- Which phrases rank highest in each class, and how sure is that?
SELECT y, class_name, rank, phrase, kind, spurious, score, rate, low, high, hits, successes, edits, occurrences, lift,
    lift_low, bits, mean_shift
FROM spurious_features WHERE rank <= $most ORDER BY y, rank;
