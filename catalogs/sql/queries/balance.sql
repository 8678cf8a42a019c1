-- How balanced are the groups before filtering, and after it, in each curation? (after: of the balanced split)
SELECT curation_id, group_name, real_train AS real, generated, accepted, kept_balanced AS balanced, kept_extra AS extra,
    share_before AS before, share_after AS after
FROM group_balance ORDER BY curation_id, y, b;
