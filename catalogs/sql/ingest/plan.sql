-- Which samples are to be made, and from what?
INSERT INTO plan
SELECT sample_id, noise_seed, kind, round, task, replicate, y, class_name, b, bias_name, group_name, prompt,
    negative_prompt, guidance_scale, steps, height, width, eta, generator, generator_fingerprint, settings,
    getvariable('head').manifest
FROM read_parquet(getvariable('head').path);
