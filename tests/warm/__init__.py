"""`portico` without waiting for its imports: a process that has loaded everything forks for each command.

`commands.py` is what tests use, `server.py` that process, `client.py` the word `portico` on a PATH.
Each command has its own arguments, folder, environment, standard streams and exit code.  What a cold
start does is seen where tests start Python themselves: README's page, `tests/cli/test_start.py`.
"""
