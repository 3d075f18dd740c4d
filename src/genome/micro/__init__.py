"""The micro suite: a synthetic world small enough to train and evolve on any CPU in minutes."""
