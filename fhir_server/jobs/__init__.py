"""Long work that outlives its request: durable, told of truly, gone on with when its process dies."""
