"""Tables, columns and relationships: their model, and the YAML files they are loaded from."""
