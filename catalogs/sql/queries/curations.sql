-- How do a run's curations differ: how many samples of each group pass the filters of each, and how many are in its shards?
WITH verdict AS (
    SELECT curation_id, sample_id, bool_and(keep) FILTER (WHERE filter <> 'quota') AS passed
    FROM decisions GROUP BY ALL
), counted AS (
    SELECT curation_id, group_name, count(*) AS made, count(*) FILTER (WHERE passed) AS passed
    FROM verdict JOIN plan USING (sample_id) GROUP BY ALL
), shipped AS (
    SELECT curation_id, group_name, count(*) FILTER (WHERE split = 'balanced') AS balanced, count(*) AS in_shards
    FROM shard_index WHERE g = 1 GROUP BY ALL
)
SELECT curation_id, group_name, made, passed, round(100 * passed / made, 1) AS percent, coalesce(balanced, 0) AS balanced,
    coalesce(in_shards, 0) AS in_shards, curations.settings ->> '$.filters' AS filters
FROM counted LEFT JOIN shipped USING (curation_id, group_name) JOIN curations USING (curation_id)
ORDER BY curation_id, group_name;
