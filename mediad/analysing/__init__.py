"""What library files look like, found out in the background after they are filed."""
