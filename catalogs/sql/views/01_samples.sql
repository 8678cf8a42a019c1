-- Which samples were generated, from which plan, and where does each image lie?
CREATE VIEW samples AS
SELECT generated.sample_id, plan.kind, 1 AS g, plan.round, plan.task, plan.replicate,
    plan.y, plan.class_name, plan.b, plan.bias_name, plan.group_name,
    plan.prompt, plan.negative_prompt, plan.noise_seed, plan.guidance_scale, plan.steps, plan.eta,
    plan.generator, plan.generator_fingerprint, plan.negatives, plan.spurious,
    generated.shard, generated."offset", generated.size, generated.image_sha256, generated.width, generated.height,
    generated.trajectory_variance, generated.manifest
FROM generated LEFT JOIN plan USING (sample_id);
