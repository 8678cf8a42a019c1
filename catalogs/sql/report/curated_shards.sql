-- Which tars does a curation have, how large are they, and how many samples of which split do they hold?
SELECT path, any_value(sha256) AS sha256, any_value(bytes) AS bytes, max(samples) AS samples,
    regexp_extract(path, '([^/]+)-[0-9]+\.tar$', 1) AS split
FROM shards WHERE starts_with(path, 'curated/' || $curation::VARCHAR || '/')
GROUP BY path ORDER BY path;
