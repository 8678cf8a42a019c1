-- How many values of each channel can be used, and how many not, and why?
SELECT channel::VARCHAR AS channel, state::VARCHAR AS state, count(*) AS n FROM events GROUP BY ALL ORDER BY ALL;
