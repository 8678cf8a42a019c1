"""report.html and the dataset card, from the catalog."""
