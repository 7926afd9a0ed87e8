"""The operations of billing, each with its OperationDefinition."""
