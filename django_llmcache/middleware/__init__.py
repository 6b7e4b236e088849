"""Middleware of the LLM pipeline: factories that take ``get_response`` and return a callable."""
