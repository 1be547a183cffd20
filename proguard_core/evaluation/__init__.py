"""What a guard is worth: benchmark rows, judging them, figures with intervals, the report."""
