"""Routes of what developers keep with us."""
