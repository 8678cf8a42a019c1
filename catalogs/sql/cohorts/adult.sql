-- Who are the people of Adult (the census income data of UCI), and who earns more than 50,000 dollars? Reads $path.
--
-- $skip is 1 for adult.test, whose first line is a remark. Left out: fnlwgt, a sampling weight, and education_num, which is a
-- function of education. "?" is missing; labels of adult.test end with a dot.
SELECT
    try_cast(trim(age) AS BIGINT) AS age,
    nullif(trim(workclass), '?') AS workclass,
    nullif(trim(education), '?') AS education,
    nullif(trim(marital_status), '?') AS marital_status,
    nullif(trim(occupation), '?') AS occupation,
    nullif(trim(relationship), '?') AS relationship,
    nullif(trim(race), '?') AS race,
    nullif(trim(sex), '?') AS sex,
    try_cast(trim(capital_gain) AS BIGINT) AS capital_gain,
    try_cast(trim(capital_loss) AS BIGINT) AS capital_loss,
    try_cast(trim(hours_per_week) AS BIGINT) AS hours_per_week,
    nullif(trim(native_country), '?') AS native_country,
    rtrim(trim(income), '.') AS income
FROM read_csv(
    $path, header = false, skip = $skip, delim = ',', null_padding = true, strict_mode = false, auto_detect = false,
    columns = {
        'age': 'VARCHAR', 'workclass': 'VARCHAR', 'fnlwgt': 'VARCHAR', 'education': 'VARCHAR', 'education_num': 'VARCHAR',
        'marital_status': 'VARCHAR', 'occupation': 'VARCHAR', 'relationship': 'VARCHAR', 'race': 'VARCHAR', 'sex': 'VARCHAR',
        'capital_gain': 'VARCHAR', 'capital_loss': 'VARCHAR', 'hours_per_week': 'VARCHAR', 'native_country': 'VARCHAR',
        'income': 'VARCHAR'
    }
)
WHERE age IS NOT NULL AND trim(age) <> '';
