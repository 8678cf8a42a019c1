-- What share of the samples that a filter looked at did it accept, per group and curation?
CREATE VIEW accept_rate AS
SELECT curation_id, filter, y, b, group_name, count(*) AS seen, count(*) FILTER (WHERE keep) AS accepted,
    count(*) FILTER (WHERE keep) / count(*) AS accept_rate
FROM decisions JOIN plan USING (sample_id)
GROUP BY curation_id, filter, y, b, group_name;
