-- Which group is each training's worst on a split (parameter split, test unless told), and what are the averages?
-- default: split = test
SELECT training_id, name, method, loss, seed, stage, group_name AS worst_group, accuracy, low, high, n, smallest_n,
    average, adjusted_average, balanced
FROM worst_group WHERE split = $split
ORDER BY method, name, loss, seed, stage, training_id;
