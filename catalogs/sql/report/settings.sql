-- What were a curation's filters, thresholds, quotas and shortfalls?
SELECT settings FROM curations WHERE curation_id = $curation::VARCHAR LIMIT 1;
