-- What happened to a sample or a source image, step by step? One row per event, its facts as JSON.
CREATE VIEW life_story AS
SELECT source_id AS sample_id, 1 AS step, 0 AS part, 'source' AS event,
    to_json({dataset: dataset, split: split, key: key, group_name: group_name, caption: caption, shard: shard,
        "offset": "offset", size: size, image_sha256: image_sha256}) AS facts
FROM sources
UNION ALL
SELECT source_id, 2, rowid, 'captioned', to_json({captioner: captioner, caption: caption, detail: detail}) FROM captions
UNION ALL
SELECT source_id, 3, rowid, 'phrase', to_json({kind: kind, phrase: phrase, extractor: extractor}) FROM phrases
UNION ALL
SELECT source_id, 4, edit_plan.rowid, 'edited',
    to_json({edit_id: edit_id, kind: kind, phrase: phrase, replacement: replacement, editor: editor, prompt: prompt,
        hit: hit, probability_before: probability_before, probability_after: probability_after,
        reason: (SELECT min(reason) FROM rejects WHERE id = edit_id), mask_share: mask_share,
        mask_attribution: mask_attribution, is_sample: edit_id IN (SELECT sample_id FROM plan),
        shard: shard, "offset": "offset", size: size})
FROM edit_plan LEFT JOIN edits USING (edit_id) LEFT JOIN edit_scores USING (edit_id)
UNION ALL
SELECT edit_id, 4, edit_plan.rowid, 'made from',
    to_json({source_id: source_id, dataset: dataset, split: split, key: key, shard: sources.shard, kind: edit_plan.kind,
        phrase: phrase, replacement: replacement, editor: editor, prompt: edit_plan.prompt, hit: hit, reason: NULL,
        probability_before: probability_before, probability_after: probability_after, mask_share: mask_share,
        mask_attribution: mask_attribution})
FROM plan JOIN edit_plan ON edit_id = sample_id JOIN sources USING (source_id)
LEFT JOIN edits USING (edit_id) LEFT JOIN edit_scores USING (edit_id)
UNION ALL
SELECT sample_id, 5, 0, 'planned',
    to_json({kind: kind, group_name: group_name, prompt: prompt, negative_prompt: negative_prompt,
        noise_seed: noise_seed, guidance_scale: guidance_scale, steps: steps, eta: eta, height: height, width: width,
        generator: generator, generator_fingerprint: generator_fingerprint, round: round, task: task,
        replicate: replicate, negatives: negatives, spurious: spurious})
FROM plan
UNION ALL
SELECT plan.sample_id, 5, 1 + personalisations.rowid, 'taught',
    to_json({personal_id: personal_id, concept: concept, token: token, method: method,
        steps: personalisations.steps,
        pictures: taught_by.pictures})
FROM plan JOIN personalisations ON contains(plan.prompt, token)
LEFT JOIN (
    SELECT personal_id, list({edit_id: sample_id, source_id: source_id, phrase: phrase, replacement: replacement,
        shard: edits.shard, "offset": edits."offset", size: edits.size} ORDER BY position) AS pictures
    FROM personal_pictures LEFT JOIN edit_plan ON edit_id = sample_id LEFT JOIN edits ON edits.edit_id = sample_id
    GROUP BY personal_id
) AS taught_by USING (personal_id)
UNION ALL
SELECT sample_id, 5, 1000000, 'glimpsed',
    to_json({step: step, clip_alignment: clip_alignment, judge_class: judge_class, judge_bias: judge_bias,
        pruned: pruned})
FROM previews
UNION ALL
SELECT sample_id, 6, 0, 'generated',
    to_json({shard: shard, "offset": "offset", size: size, image_sha256: image_sha256, width: width, height: height,
        trajectory_variance: trajectory_variance})
FROM generated
UNION ALL
SELECT id, 7, rowid, 'rejected', to_json({stage: stage, key: key, reason: reason, detail: detail}) FROM rejects
UNION ALL
SELECT sample_id, 8, rowid, 'scored', to_json({score: score, value: value, label: label}) FROM scores
UNION ALL
SELECT sample_id, 9, rowid, 'decided',
    to_json({curation_id: curation_id, filter: filter, keep: keep, reason: reason})
FROM decisions
UNION ALL
SELECT sample_id, 10, rowid, 'indexed',
    to_json({curation_id: curation_id, split: split, g: g, shard: shard, "offset": "offset", size: size})
FROM shard_index
UNION ALL
SELECT seen_by.sample_id, 11, 0, 'trained on',
    to_json({training_id: training_id, method: seen_by.method, loss: seen_by.loss, seed: seen_by.seed, use: use,
        shard: shard, used: used, shard_samples: shard_samples,
        worst_group: worst_group.group_name, accuracy: accuracy, low: low, high: high, n: n})
FROM seen_by LEFT JOIN (SELECT * FROM worst_group WHERE stage = 'final' AND split = 'test') AS worst_group USING (training_id);
