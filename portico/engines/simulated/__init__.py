"""An engine without a model: says, waits and fails as it is told, exactly and repeatably.

Enters: a Prompt.  Leaves: canon events with exact usage.  Never opens a socket, never guesses.
`parameters.py` reads what a request asks of it, `speech.py` is what each model says, `scripted.py`
makes a plan of deltas of that, `malformed.py` spoils the plan, `engine.py` paces and pushes it.
"""
