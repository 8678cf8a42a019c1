-- How many rows of each table could not be read? (at most 1,000 a reading are counted; never what stands in them)
SELECT parse_path(file_path)[-1] AS file, count(DISTINCT line) AS n, count(*) AS problems
FROM reject_errors JOIN reject_scans USING (scan_id, file_id)
GROUP BY file ORDER BY file;
