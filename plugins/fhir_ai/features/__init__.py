"""Features: what models take, defined once as ViewDefinitions, for inference and for training at a past instant."""
