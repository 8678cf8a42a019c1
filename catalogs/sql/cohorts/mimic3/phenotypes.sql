-- Which of the 25 phenotypes of mimic3-benchmarks do a stay's ICD-9-CM diagnoses show? (outcomes; not features)
--
-- Each phenotype is a category of HCUP's single-level Clinical Classifications Software 2015 (public domain), given by
-- the prefixes that hold its codes and no code of another category: all 767 codes of the 25 and no other of the 15,072.
-- 2766= is the code 2766 alone, from the years before it was divided. Diagnoses are the admission's, coded at
-- discharge; ICD9_CODE has no dot.
CREATE TEMP TABLE phenotype_prefixes AS
SELECT phenotype, unnest(string_split(prefixes, ' ')) AS prefix
FROM (
    VALUES
    ('acute_cerebrovascular_disease', '3466 430 431 432 43301 43311 43321 43331 43381 43391 434 436'),
    ('acute_myocardial_infarction', '410'),
    ('acute_renal_failure', '584 586'),
    ('cardiac_dysrhythmias', '4270 4271 4272 4273 4276 4278 4279 7850 7851'),
    ('chronic_kidney_disease', '585 7925 V420 V451 V56'),
    ('complications_of_care',
        '27661 27783 27788 2853 28741 3490 3491 34931 41511 4294 4582 5121 5122 5187 5190 53086 53087 5364 '
        || '539 5642 5643 5644 5696= 56962 5697 5793 59681 78062 78063 78066 9093 99524 9954 99586 997 998 9990 9991 '
        || '9992 9993= 99934 99939 9994 9995 9996 9997 9998 9999 V1553 V1580 V1583 V900'),
    ('conduction_disorders', '426 V450 V533'),
    ('congestive_heart_failure', '39891 428'),
    ('copd_and_bronchiectasis', '490 491 492 494 496'),
    ('coronary_atherosclerosis', '411 412 413 4140= 41400 41401 41406 4142 4143 4144 4148 4149 V4581 V4582'),
    ('diabetes_with_complications',
        '24901 2491 2492 2493 2494 2495 2496 2497 2498 2499 25002 25003 2501 2502 2503 2504 2505 2506 2507 '
        || '2508 2509'),
    ('diabetes_without_complications', '24900 25000 25001 7902 7915 7916 V4585 V5391 V6546'),
    ('essential_hypertension', '4011 4019'),
    ('fluid_and_electrolyte_disorders', '2760 2761 2762 2763 2764 2765 2766= 27669 2767 2768 2769 9951'),
    ('gastrointestinal_hemorrhage',
        '4560 45620 5307 53082 5310 5312 5314 5316 5320 5322 5324 5326 5330 5332 5334 5336 5340 5342 5344 '
        || '5346 5693 578'),
    ('hypertension_with_complications', '4010 402 403 404 405 4372'),
    ('lipid_disorders', '2720 2721 2722 2723 2724'),
    ('other_liver_diseases',
        '570 5715 5716 5718 5719 572 5730 5734 5735 5738 5739 7824 7891 7895= 78959 7904 7905 7948 V427'),
    ('other_lower_respiratory_disease',
        '5131 514 515 516 5172 5178 5183 5184 51889 5194 5198 5199 7825 7860 7862 7863 7864 78652 7866 7867 '
        || '7868 7869 7931 7942 V126 V426'),
    ('other_upper_respiratory_disease',
        '470 471 472 476 4770 4772 4778 4779 478 5191 5192 5193 7841 7844 7847 7848 7849= 78499 7861 V414 V440 V550'),
    ('pleurisy_pneumothorax_collapse', '510 5110 5111 5118= 51189 5119 5120 5128 5180 5181 5182'),
    ('pneumonia',
        '00322 0203 0204 0205 0212 0221 0310 0391 0521 0551 0730 0830 1124 1140 1144 1145 11505 11515 11595 '
        || '1304 1363 480 481 482 483 484 485 486 5130 5171'),
    ('respiratory_failure', '5173 5185 51881 51882 51883 51884 7991 V461 V462'),
    ('septicemia', '0031 0202 0223 0362 038 0545 449 77181 7907 99591 99592'),
    ('shock', '7855')
) AS phenotypes (phenotype, prefixes);

CREATE TEMP TABLE diagnoses AS
SELECT DISTINCT icustay_id, upper(trim(icd9_code)) AS code
FROM cohort JOIN diagnoses_icd ON TRY_CAST(diagnoses_icd.hadm_id AS INTEGER) = cohort.hadm_id
WHERE left_out IS NULL;

CREATE TEMP TABLE phenotypes AS
WITH shown AS (
    SELECT DISTINCT icustay_id, phenotype
    FROM diagnoses
    JOIN (SELECT code, phenotype FROM (SELECT DISTINCT code FROM diagnoses) JOIN phenotype_prefixes
          ON starts_with(code || '=', prefix)) USING (code)
),
every AS (
    SELECT icustay_id, phenotype, shown.phenotype IS NOT NULL AS shown
    FROM cohort CROSS JOIN (SELECT DISTINCT phenotype FROM phenotype_prefixes)
    LEFT JOIN shown USING (icustay_id, phenotype)
    WHERE left_out IS NULL
)
PIVOT every ON phenotype USING first(shown) GROUP BY icustay_id;
