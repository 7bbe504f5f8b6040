"""A real engine in a supervised child process."""
