-- How accurate is each training on each group of the test split?
SELECT training_id, stage, y, b, group_name, n, correct, accuracy, low, high
FROM group_metrics WHERE split = 'test' AND n > 0 ORDER BY training_id, stage, y, b;
