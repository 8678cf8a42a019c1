-- What became of each sample in each curation: did it pass the filters (accepted), and was it kept?
CREATE VIEW verdicts AS
SELECT curation_id, sample_id,
    coalesce(bool_and(keep) FILTER (WHERE filter <> 'quota'), true) AS accepted,
    bool_and(keep) AS kept
FROM decisions GROUP BY curation_id, sample_id;
