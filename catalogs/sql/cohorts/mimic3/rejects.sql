-- Which rows of ICUSTAYS have data that can't be right, and why? (rows count from 0 among those that could be read)
SELECT file_row, reject FROM stays WHERE reject IS NOT NULL ORDER BY file_row;
