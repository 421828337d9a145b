"""From the events of a sweep to the browsers that watch it."""
