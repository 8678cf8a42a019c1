"""Image classifiers: ERM, Resample, USB, ASB, FFR and ASPIRE's.

Others use ``run.run_training`` with ``settings.TrainSettings``, ``run.load_model``, ``methods`` and ``mixes`` for
what a method is called and trains on, and ``reference.ReferenceClassifier`` to ask a finished training.
"""
