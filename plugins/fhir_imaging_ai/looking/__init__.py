"""Looking: from an image to a picture as a model takes it, what the model says, and what follows from that."""
