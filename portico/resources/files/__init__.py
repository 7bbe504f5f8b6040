"""Files that developers send to be kept, and uploads that become files."""
