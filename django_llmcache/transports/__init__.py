"""How bytes get to a provider and back: one HTTP library per file."""
