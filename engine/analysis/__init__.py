"""What the trials of a sweep tell: numbers for charts, small however many trials there are. Pure, numpy only."""
