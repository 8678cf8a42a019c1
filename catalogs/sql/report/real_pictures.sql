-- What do real training images look like: the first of each group (parameter per_group), by key?
SELECT source_id AS sample_id, group_name, shard, "offset", size, caption AS prompt
FROM sources WHERE split = 'train' AND shard IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY y, b ORDER BY length(key), key, source_id) <= $per_group
ORDER BY y, b, length(key), key, source_id;
