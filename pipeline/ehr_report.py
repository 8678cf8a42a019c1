"""placeholder"""
from pathlib import Path
def write_ehr_report(folder, recipe): return folder.root/"report.html"
