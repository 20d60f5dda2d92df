"""RemoteExecutionContext: the document Dataverse sends for an operation, read and written."""
