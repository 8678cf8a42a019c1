-- Which phrases rank highest in each class, how sure is that, and what is left of them (parameter curation, or none)?
SELECT y, class_name, rank, phrase, kind, spurious, score, rate, low, high, hits, successes, edits, occurrences, lift,
    lift_low, bits, bits_after, mean_shift
FROM spurious_features
    LEFT JOIN (SELECT phrase, bits_after FROM phrase_bits WHERE curation_id = $curation::VARCHAR) USING (phrase)
WHERE rank <= $most ORDER BY y, rank;
