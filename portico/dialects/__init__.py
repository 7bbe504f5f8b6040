"""How the outside speaks: pure parsing and writing."""
