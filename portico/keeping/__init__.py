"""What a request leaves behind, in the commit that settles it."""
