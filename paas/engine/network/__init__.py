"""The network of the containers: a router namespace, addresses, policy, stable addresses."""
