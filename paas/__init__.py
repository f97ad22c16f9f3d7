"""A git-push PaaS for one server, with its own container engine."""
