"""Engines whose Chat streams are not clean: judged when added, repaired event by event after."""

from portico.dialects.openai_chat.repair.answer import repair_answer
from portico.dialects.openai_chat.repair.judge import judge
from portico.dialects.openai_chat.repair.reader import RepairReader

__all__ = ["RepairReader", "judge", "repair_answer"]
