"""Rows in SQLite: tables made from metadata, how values and texts are kept and compared, and who may open the file."""
