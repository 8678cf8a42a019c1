"""Bt-GAN's training: for a cohort, or for a data frame.

Others use ``bt_gan.fit`` with ``settings.BtGanSettings`` for a cohort, ``synthesizer`` for a data frame, and
``lambda_choice`` to weigh the constraint from biased rows alone.
"""
