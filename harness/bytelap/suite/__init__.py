"""A suite's YAML becomes a frozen configuration, and the configuration a plan of runs."""
