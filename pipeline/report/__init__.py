"""report.html and the dataset card, from the catalog.

Others use ``page.write_report`` and ``card.write_card``; ``reader`` asks the catalog, with the SQL in
catalogs/sql/report.
"""
