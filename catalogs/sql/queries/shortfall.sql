-- Which groups have fewer kept samples than their quota, and by how many?
SELECT curation_id, group_name, quota, generated, accepted, kept, shortfall
FROM shortfall ORDER BY curation_id, y, b;
