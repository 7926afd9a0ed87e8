"""The operations of clinical AI, with their OperationDefinitions as JSON beside."""
