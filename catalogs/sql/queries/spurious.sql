-- Which phrases rank highest in each class, which of them are spurious, and which edits show it? (parameter class, all)
-- default: class = %
SELECT class_name, rank, phrase, kind, spurious, score, rate, low, high, hits, successes, occurrences, lift, bits,
    list_transform(examples, lambda example: example.edit_id) AS examples
FROM spurious_ranking WHERE class_name LIKE $class ORDER BY y, rank;
