"""What ``runner serve``, ``work``, ``listen`` and ``poll`` have in common, put together as the settings say."""
