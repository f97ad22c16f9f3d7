"""Building images from Dockerfiles: parse, plan, look in the cache, execute."""
