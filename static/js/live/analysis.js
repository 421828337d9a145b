// The analysis.
