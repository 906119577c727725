"""What a score is read by: the material of a report, its figures, the HTML page."""
