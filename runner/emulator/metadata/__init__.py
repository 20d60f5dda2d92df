"""The model of tables, columns and relationships, and the YAML files they are loaded from.

``load`` reads ``tables/``; ``customize`` applies the customizations of a running environment.
"""
