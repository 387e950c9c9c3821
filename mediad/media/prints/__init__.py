"""What contents look and sound like, so that copies are found whose bytes differ. Runs in workers."""
