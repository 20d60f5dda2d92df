"""Reading and writing rows by Dataverse's rules: stage 30 of the pipeline, without plug-ins or messages.

``records`` is where to start. ``rules`` are those of one table, made once; ``reading`` is everything that only reads.
"""
