-- Which run is this, with which versions, and which curations has it?
SELECT run_id, versions, (SELECT list(curation_id ORDER BY curation_id) FROM curations) AS curations FROM runs LIMIT 1;
