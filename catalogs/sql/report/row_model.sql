-- Which model of rows does the run have, and with which settings? (the newest)
SELECT model_id, attribute, "constraint", lam, seed, fingerprint, proxies, settings
FROM row_models ORDER BY manifest DESC LIMIT 1;
