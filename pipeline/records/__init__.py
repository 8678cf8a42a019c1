"""What is particular to health records: the cohort, the fit of a Bt-GAN, rows, and their evaluation.

Its steps, in order, are ``cohort``, ``fit``, ``plan_rows`` and ``evaluation``; ``lambda_table`` chooses the
constraint's weight.
"""
