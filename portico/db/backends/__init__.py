"""The databases Portico runs on, behind one protocol."""
