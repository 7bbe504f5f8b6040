"""What the door answers without a journey."""

from portico.door.endpoints.health import Health, MetricsPage
from portico.door.endpoints.models import Models
from portico.door.endpoints.usage import Usage

__all__ = ["Health", "MetricsPage", "Models", "Usage"]
