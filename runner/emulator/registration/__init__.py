"""The registration tables (``sdkmessageprocessingstep`` and its neighbours): rows that decide which steps run."""
