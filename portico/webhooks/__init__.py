"""What happens, told to those who asked to be told."""
