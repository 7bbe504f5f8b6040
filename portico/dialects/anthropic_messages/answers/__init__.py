"""An answer, written as a Messages client reads it."""
