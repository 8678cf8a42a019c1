-- Which concepts was the text-to-image model taught, and with which pictures?
INSERT INTO personal_pictures
SELECT personal_id, concept, token, position, sample_id, image_sha256, getvariable('head').manifest
FROM read_parquet(getvariable('head').path);

INSERT INTO personalisations
SELECT getvariable('head').task, s ->> '$.concept.name', s ->> '$.concept.token', s ->> '$.concept.class_word',
    s ->> '$.method', (s ->> '$.seed')::BIGINT, (s ->> '$.steps')::BIGINT,
    (SELECT count(*) FROM read_parquet(getvariable('head').path)),
    (s ->> '$.loss_first')::DOUBLE, (s ->> '$.loss_last')::DOUBLE, s ->> '$.weights.sha256',
    s ->> '$.model_fingerprint', s -> '$.settings', getvariable('head').manifest
FROM (SELECT getvariable('head').settings::JSON AS s);
