"""The bundled container engine: images, builds, containers, network; knows nothing of apps."""
