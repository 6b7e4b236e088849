"""The test cache: records what providers answered, as files, and gives it again in later test runs."""
