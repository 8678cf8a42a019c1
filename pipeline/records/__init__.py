"""What is particular to health records: the cohort, the fit of a Bt-GAN, rows, and their evaluation."""
