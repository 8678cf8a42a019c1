"""Captioners and language models, local or behind an endpoint, and the cache of their answers.

Others use ``captioner.Captioner`` or ``vision_endpoint.VisionEndpoint`` for pictures,
``language_model.LanguageModel`` or ``endpoint.Endpoint`` for a ``conversation.Conversation``, and ``caption_text``
for what of a caption is trusted.
"""
