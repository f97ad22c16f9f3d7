"""The bundled container engine: images, layers, builds, containers, network. Knows nothing of apps."""
