"""The composition root: settings in, a running platform out.  The only room that knows every other.

`run` starts things in the order in which they can fail most cheaply (address, data, engine) and
stops them in the opposite one: door, journeys, records, engines.
"""

from portico.app.engines import DEMO_MODEL
from portico.app.failure import CannotStart
from portico.app.serving import Running, run

__all__ = ["DEMO_MODEL", "CannotStart", "Running", "run"]
