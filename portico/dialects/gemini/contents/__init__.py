"""What was said, and asked, in the parts of this dialect: read into canon items."""
