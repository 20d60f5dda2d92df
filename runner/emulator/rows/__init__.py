"""Reading and writing rows by Dataverse's rules: stage 30 of the pipeline, without plug-ins or messages."""
