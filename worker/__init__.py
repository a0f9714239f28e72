"""What is done about a case."""
