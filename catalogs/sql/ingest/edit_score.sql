-- What did the reference classifier and CLIP say of each edited picture, before and after, and which had no scores?
INSERT INTO edit_scores
SELECT edit_id, predicted_before, predicted_after, hit, probability_before, probability_after, probability_shift,
    probabilities_before, probabilities_after, phrase_before, phrase_after, replacement_before, replacement_after,
    mask_attribution, getvariable('head').manifest
FROM (
    SELECT NULL::DOUBLE AS mask_attribution WHERE false -- scores of earlier versions lack it
    UNION ALL BY NAME SELECT * FROM read_parquet(getvariable('head').path)
) WHERE status = 'ok';

INSERT INTO rejects
SELECT 'edit_score', edit_id, NULL, reason, detail, getvariable('head').manifest
FROM read_parquet(getvariable('head').path) WHERE status <> 'ok';
