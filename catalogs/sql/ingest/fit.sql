-- Which model of rows was trained, with what, and how did its losses go?
INSERT INTO row_models
SELECT getvariable('head').task, s ->> '$.attribute', s ->> '$.settings.constraint', (s ->> '$.settings.lam')::DOUBLE,
    (s ->> '$.settings.seed')::BIGINT, s ->> '$.fingerprint', (s -> '$.joint')::DOUBLE[][], s -> '$.proxies',
    s -> '$.settings', getvariable('head').manifest
FROM (SELECT getvariable('head').settings::JSON AS s);

INSERT INTO row_model_log
SELECT model_id, stage, step, discriminator, generator, information, classifier, getvariable('head').manifest
FROM read_parquet(getvariable('head').path);
