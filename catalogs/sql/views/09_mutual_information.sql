-- How many bits does the class share with the bias, I(Y;B), and with bias and source, I(Y;(B,G)), in each mix?
-- The exact plug-in estimate over the mix's counts (docs/methods.md#shared-bits). NULL where the mix is empty.
CREATE VIEW mutual_information AS
WITH joint AS (
    SELECT curation_id, mix, y, b, g, n,
        sum(n) OVER (PARTITION BY curation_id, mix) AS total,
        sum(n) OVER (PARTITION BY curation_id, mix, y) AS n_y,
        sum(n) OVER (PARTITION BY curation_id, mix, b) AS n_b,
        sum(n) OVER (PARTITION BY curation_id, mix, y, b) AS n_yb,
        sum(n) OVER (PARTITION BY curation_id, mix, b, g) AS n_bg
    FROM mix_counts WHERE n > 0
),
bits AS (
    SELECT curation_id, mix,
        sum(n / total * log2(n_yb::DOUBLE * total / (n_y::DOUBLE * n_b))) AS i_y_b,
        sum(n / total * log2(n::DOUBLE * total / (n_y::DOUBLE * n_bg))) AS i_y_bg
    FROM joint GROUP BY curation_id, mix
)
SELECT sizes.*,
    CASE WHEN i_y_b > 0 THEN i_y_b WHEN i_y_b <= 0 THEN 0 END AS i_y_b_bits,
    CASE WHEN i_y_bg > 0 THEN i_y_bg WHEN i_y_bg <= 0 THEN 0 END AS i_y_bg_bits
FROM (
    SELECT curation_id, mix, coalesce(sum(n) FILTER (WHERE g = 0), 0) AS real,
        coalesce(sum(n) FILTER (WHERE g = 1), 0) AS synthetic, sum(missing) AS missing
    FROM mix_counts GROUP BY curation_id, mix
) AS sizes
LEFT JOIN bits ON bits.mix = sizes.mix AND bits.curation_id IS NOT DISTINCT FROM sizes.curation_id;
