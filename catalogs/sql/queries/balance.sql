-- How balanced are the groups before filtering, and after it, in each curation?
SELECT curation_id, group_name, real_train, planned, generated, accepted, kept, share_before, share_after
FROM group_balance ORDER BY curation_id, y, b;
