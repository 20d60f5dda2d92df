"""The parts of a serving process, which ``runner serve``, ``work``, ``listen`` and ``poll`` share."""
