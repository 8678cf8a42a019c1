-- Which samples are to be made, and from what?
INSERT INTO plan
SELECT sample_id, noise_seed, kind, round, task, replicate, y, class_name, b, bias_name, group_name, prompt,
    negative_prompt, guidance_scale, steps, height, width, eta, generator, generator_fingerprint, settings,
    negatives, spurious, getvariable('head').manifest
FROM (
    SELECT NULL::VARCHAR AS negatives, NULL::VARCHAR AS spurious WHERE false -- plans of earlier versions lack them
    UNION ALL BY NAME SELECT * FROM read_parquet(getvariable('head').path)
);
