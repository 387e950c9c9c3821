"""What is done with files that the libraries have."""
