"""`portico doctor`: what a start needs, every upstream, and what makes a server unsafe."""
