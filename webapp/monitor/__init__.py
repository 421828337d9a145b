"""The live page of one sweep."""
