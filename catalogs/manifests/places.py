"""The folders of a run by what lies in them; the names of manifests begin with them."""

from __future__ import annotations

SOURCE = "source/"
COHORT = "cohort/"
CAPTIONS = "captions/"
PHRASES = "phrases/"
EDITS = "edits/"
EDIT_SCORES = "edit_scores/"
DISCOVERY = "discovery/"
PERSONAL = "personal/"
MODELS = "models/"
CALIBRATION = "calibration/"
PLAN = "plan/"
RAW = "raw/"
SCORES = "scores/"
CURATED = "curated/"
TRAINING = "training/"
EVALUATION = "evaluation/"

OF_DISCOVERY = (CAPTIONS, PHRASES, EDITS, EDIT_SCORES, DISCOVERY, PERSONAL)
"""What is found in a source, and what models were taught by it."""
SAMPLES = (MODELS, PLAN, RAW, SCORES)
"""What was made."""
RESULTS = (CURATED, TRAINING, EVALUATION)
"""What was kept of it, and how that was judged."""
