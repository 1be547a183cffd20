"""Programs for the upkeep of the project."""
