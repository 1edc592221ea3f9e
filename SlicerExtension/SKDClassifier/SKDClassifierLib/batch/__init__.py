"""Many cases: what they are, how they are classified, their table."""
