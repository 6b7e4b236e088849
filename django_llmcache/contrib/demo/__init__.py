"""What `manage.py llmcache demo` and the example project run on: a stand-in provider and its recordings."""
