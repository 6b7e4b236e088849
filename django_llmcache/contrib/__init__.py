"""Optional parts of django-llmcache: nothing in the core imports them."""
