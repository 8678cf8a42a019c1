-- What do example edits of each ranked phrase look like, before and after?
WITH examples AS (
    SELECT y, phrase, unnest(examples) AS example, generate_subscripts(examples, 1) AS nth
    FROM spurious_ranking WHERE rank <= $most
),
places AS (SELECT sample_id, any_value(shard) AS shard, any_value("offset") AS "offset", any_value(size) AS size
    FROM shard_index WHERE g = 0 GROUP BY sample_id)
SELECT examples.y, examples.phrase, example.edit_id AS sample_id, example.hit, example.probability_shift, example.shard,
    example."offset", example.size, edit_plan.replacement, edit_plan.kind, example.source_id,
    places.shard AS source_shard, places."offset" AS source_offset, places.size AS source_size,
    probability_before, probability_after
FROM examples JOIN edit_plan ON edit_plan.edit_id = example.edit_id
JOIN edit_scores ON edit_scores.edit_id = example.edit_id
LEFT JOIN places ON places.sample_id = example.source_id
ORDER BY examples.y, examples.phrase, nth;
