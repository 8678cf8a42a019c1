-- Which phrases of each class did editing show to be spurious, how sure is that, and what do three such edits look like?
-- The examples are hits first, then the edits that took most from the true class's probability.
CREATE VIEW spurious_ranking AS
WITH tested AS (
    SELECT y, phrase_group, edit_id, source_id, edit_plan.phrase, hit, probability_shift, edits.shard, edits."offset",
        edits.size,
        row_number() OVER (PARTITION BY y, phrase_group ORDER BY hit DESC, probability_shift, edit_id) AS nth
    FROM edit_plan JOIN edits USING (edit_id) JOIN edit_scores USING (edit_id)
),
examples AS (
    SELECT y, phrase_group AS phrase,
        list({edit_id: edit_id, source_id: source_id, phrase: tested.phrase, hit: hit,
            probability_shift: probability_shift, shard: shard, "offset": "offset", size: size} ORDER BY nth) AS examples
    FROM tested WHERE nth <= 3 GROUP BY y, phrase_group
)
SELECT y, class_name, rank, phrase, kind, spurious, score, rate, low, high, excess_low, hits, successes, edits,
    occurrences, lift, lift_low, lift_high, bits, mean_shift, examples
FROM spurious_features LEFT JOIN examples USING (y, phrase);
