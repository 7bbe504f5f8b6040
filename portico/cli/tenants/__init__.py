"""Commands about organisations, projects and who belongs to them."""
