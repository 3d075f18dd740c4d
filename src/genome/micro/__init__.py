"""The micro suite: a world small enough to train and evolve on any CPU in minutes."""
