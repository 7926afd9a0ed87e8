"""OperationDefinitions of claims."""
