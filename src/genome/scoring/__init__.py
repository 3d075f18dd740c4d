"""From responses to fitness and test scores, of individuals and of ensembles; their statistics."""
