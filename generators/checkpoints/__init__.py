"""Model folders: what they hold, checked without torch, and how they are loaded.

Others use ``model_files.resolve_model`` and ``model_files.fingerprint``, ``pipeline_folder.read_pipeline_folder`` and
``signatures`` before a load, and ``loading.load_pipeline`` (diffusers) or ``transformers_model.load_model`` for it.
"""
