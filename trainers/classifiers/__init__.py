"""Image classifiers: ERM, Resample, USB, ASB, FFR and ASPIRE's. Start at ``run.run_training``."""
