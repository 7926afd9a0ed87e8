"""Models of images: their manifests, their signatures, and how they are run."""
