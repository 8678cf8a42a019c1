-- Which edits are to be made, of which source images?
INSERT INTO edit_plan
SELECT edit_id, source_id, y, class_name, task, kind, phrase, phrase_group, replacement, mask_phrase, keep_phrases,
    editor, prompt, negative_prompt, noise_seed, steps, guidance_scale, eta, editor_fingerprint, settings,
    getvariable('head').manifest
FROM read_parquet(getvariable('head').path);
