-- Which tars does the run have, how large are they, and how many samples do they hold?
SELECT path, stage, samples, bytes, sha256 FROM shards ORDER BY stage, path;
