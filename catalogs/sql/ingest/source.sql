-- Which source images are there, and which were rejected? An id that is there already is a duplicate key.
CREATE OR REPLACE TEMP TABLE incoming AS
SELECT *, row_number() OVER (PARTITION BY source_id, status = 'ok' ORDER BY file_row_number) AS occurrence
FROM read_parquet(getvariable('head').path, file_row_number = true);

INSERT INTO rejects
SELECT 'source', source_id, key, reason, detail, getvariable('head').manifest
FROM incoming WHERE status <> 'ok' ORDER BY file_row_number;

INSERT INTO rejects
SELECT 'source', source_id, key, 'duplicate_key',
    'key ' || key || ' of split ' || coalesce(split, '?') || ' is there already, in '
        || coalesce((SELECT path FROM ingested JOIN sources USING (manifest)
                     WHERE sources.source_id = incoming.source_id LIMIT 1), 'the same shard'),
    getvariable('head').manifest
FROM incoming
WHERE status = 'ok' AND (occurrence > 1 OR source_id IN (SELECT source_id FROM sources))
ORDER BY file_row_number;

INSERT INTO sources
SELECT source_id, dataset, split, key, y, class_name, b, bias_name, group_name, 0, run_path(shard), "offset", size,
    image_sha256, width, height, caption, metadata, getvariable('head').manifest
FROM incoming
WHERE status = 'ok' AND occurrence = 1 AND source_id NOT IN (SELECT source_id FROM sources)
ORDER BY file_row_number;

DROP TABLE incoming;
