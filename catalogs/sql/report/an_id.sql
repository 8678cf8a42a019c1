-- Which sample may stand for all in an example?
SELECT sample_id FROM shard_index WHERE g = 1 ORDER BY curation_id, position LIMIT 1;
