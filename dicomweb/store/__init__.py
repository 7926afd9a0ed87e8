"""Objects as blobs, and what is read of them."""
