-- Which group is each training's worst on test, and what are the averages beside it?
SELECT training_id, stage, group_name, accuracy, low, high, n, average, adjusted_average, balanced
FROM worst_group WHERE split = 'test' ORDER BY training_id, stage;
