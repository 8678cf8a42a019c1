-- In which discovered group is each captioned real image: does its class's top spurious phrase hold of it?
INSERT INTO discovered_groups
SELECT source_id, split, y, class_name, phrase, present, group_name, getvariable('head').manifest
FROM read_parquet(getvariable('head').path);
