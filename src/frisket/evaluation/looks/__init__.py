"""What a person looks at in a report, one idea a file."""
