"""Tables, columns and relationships: their model, and the YAML files they are loaded from.

``load`` reads ``tables/``; ``customize`` adds what a running environment was given.
"""
