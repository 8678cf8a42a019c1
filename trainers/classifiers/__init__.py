"""Image classifiers: ERM, Resample, USB, ASB, FFR and ASPIRE's.

Others use ``run.run_training`` with ``settings.TrainSettings``, ``run.load_model``, and
``reference.ReferenceClassifier`` to ask a finished training. What a method trains on is said in trainers/methods.
"""
