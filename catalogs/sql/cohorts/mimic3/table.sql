-- Which rows does {table} have, every value as the text that stands in its CSV? ({table} is filled in by mimic3.py)
--
-- No type is guessed, so no conversion can fail and quote a value; SQL that needs a number says TRY_CAST. A row with
-- too few or too many columns, broken quotes or no UTF-8 is left out and counted by malformed.sql.
CREATE TEMP VIEW {table} AS
FROM read_csv(
    getvariable('{table}').path,
    columns = getvariable('{table}').columns,
    auto_detect = false, header = true, delim = ',', quote = '"', escape = '"',
    store_rejects = true, rejects_limit = 1000
);
