"""Bt-GAN as a generator of rows: encoding of tables, networks, sampling, rejection.

Others use ``bt_gan.BtGan`` (load, draw, sample), ``encoding.TableEncoding``, and ``record_space.RecordSpace`` for how
near two records are.
"""
