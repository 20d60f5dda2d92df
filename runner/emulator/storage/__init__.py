"""Rows in SQLite: tables made from metadata, how values and texts are kept and compared, and who may open the file.

``store`` runs the statements; ``values`` converts what goes in and comes out, one codec for each kind of column.
"""
