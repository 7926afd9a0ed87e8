"""The operations of the core: a module each, checked from their OperationDefinitions. See docs/operations.md."""
