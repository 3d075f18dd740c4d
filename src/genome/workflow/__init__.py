"""What follows from a config: names of runs, and which files and settings each result depends on."""
