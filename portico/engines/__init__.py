"""Who generates: the port every engine implements, and the engines."""
